"""The camera's program on a disk that is full, read-only, or cut off in the middle of a writing."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.request import urlopen

import numpy as np
import pytest
import yaml

from split_core import bundle as bundles
from split_core import policy as policies
from split_core import profiles
from split_core.demo.processes import environment
from split_core.policy import BanditSection, ExitSection, PolicyFile
from split_core.policy_state import read_states
from split_core.telemetry.decisions import read_log
from split_core.telemetry.log_summary import summarised
from tests.edge_runtime.world import profile
from tests.sink_peers import until
from tests.tiny import tiny_samples

PROGRAM = (
    "import resource, sys; from edge_runtime.__main__ import main; "
    "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), -1)); sys.exit(main(sys.argv[2:]))"
)
ENDLESS = resource.RLIM_INFINITY


class Disk(Protocol):
    """Where the camera writes."""

    folder: Path
    limit: int  # of the size of a file, when the camera starts

    def fill(self, pid: int) -> None: ...

    def free(self, pid: int) -> None: ...


class Limited:
    """The kernel's limit for the size of a file: needs no rights, and looks like a full disk."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.limit = folder / "disk", ENDLESS
        self.folder.mkdir()

    def fill(self, pid: int) -> None:
        self.limit = 0
        if pid:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, ENDLESS))

    def free(self, pid: int) -> None:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (ENDLESS, ENDLESS))

    def end(self) -> None: ...


class Small:
    """A small file system of its own, with something else on it that takes all the room."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.limit = folder / "disk", ENDLESS
        self.folder.mkdir()
        mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(self.folder))

    def fill(self, _: int) -> None:
        with (self.folder / "ballast").open("ab", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(bytes(4096))
            except OSError:
                return

    def free(self, _: int) -> None:
        (self.folder / "ballast").unlink()

    def end(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


class ReadOnly(Small):
    """What a file system becomes when it finds itself damaged."""

    def fill(self, _: int) -> None:
        until(lambda: self._remount("ro"), "somebody writes all the time")

    def free(self, _: int) -> None:
        assert self._remount("rw")

    def _remount(self, how: str) -> bool:
        words = ["mount", "-o", f"remount,{how}", str(self.folder)]
        return subprocess.run(words, capture_output=True, check=False).returncode == 0


def mount(*words: str) -> None:
    try:
        subprocess.run(["mount", *words], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this user cannot mount a file system")


@pytest.fixture(params=[Limited, Small, ReadOnly])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    made = request.param(tmp_path)
    yield made
    made.end()


class Camera:
    """The program, whose outcomes are read one by one."""

    def __init__(self, folder: Path, bundle: Path, disk: Disk) -> None:
        np.savez(folder / "images.npz", images=tiny_samples(50, seed=5)[0])
        ids = bundles.load(bundle).id
        profiles.save(profile(3, ids).model_copy(update={"slowdown": 1.0}), folder / "profile.yaml")
        file = PolicyFile(bundle_id=ids, exits=(ExitSection(),) * 3, bandit=BanditSection(name="grid"))
        policies.save(file, folder / "policy.yaml")
        self.decisions, self.state = disk.folder / "logs" / "decisions.jsonl", disk.folder / "state.json"
        outcomes = [{"kind": "jsonl"}, {"kind": "jsonl", "path": str(disk.folder / "outcomes.jsonl")}]
        config = {
            "bundle": str(bundle),
            "policy": str(folder / "policy.yaml"),
            "profile": str(folder / "profile.yaml"),
            "source": {"kind": "array", "fps": 200, "options": {"path": str(folder / "images.npz"), "loop": True}},
            "deadline_ms": 5000.0,  # what is tested is that nothing waits for the disk, not how busy this machine is
            "decisions": str(self.decisions),
            "state": str(self.state),
            "ready_file": str(disk.folder / "ready.json"),
            "outcomes": outcomes,
            "http": "127.0.0.1:0",
        }
        (folder / "edge.yaml").write_text(yaml.safe_dump(config))
        words = [sys.executable, "-c", PROGRAM, str(disk.limit), str(folder / "edge.yaml")]
        self.process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
        )
        self.outcomes: list[dict[str, Any]] = []

    def answer(self, count: int) -> None:
        """Wait for so many more answers."""
        assert self.process.stdout
        for _ in range(count):
            line = self.process.stdout.readline()
            assert line, self.process.communicate()[1]
            self.outcomes.append(json.loads(line))

    def end(self) -> str:
        """Ask it to end; returns what it said."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.stdout
        assert self.process.stderr
        self.outcomes += [
            json.loads(line) for line in self.process.stdout
        ]  # `communicate` would skip what was read ahead
        with self.process.stdout, self.process.stderr as stderr:
            said = stderr.read()
        assert self.process.wait(timeout=60) == 0, said
        return said


def told(said: str, path: Path) -> list[str]:
    """What was said of a file, without times."""
    return [line.partition("change=")[2] for line in said.splitlines() if f"file={path}" in line]


def test_a_disk_that_has_no_room_for_a_while_costs_no_frame_and_is_told_once(
    tmp_path: Path, tiny_bundle: Path, disk: Disk
) -> None:
    camera = Camera(tmp_path, tiny_bundle, disk)
    camera.answer(50)
    http = json.loads((disk.folder / "ready.json").read_text())["http"]
    disk.fill(camera.process.pid)
    camera.answer(400)
    metrics = urlopen(f"{http}/metrics").read().decode()
    disk.free(camera.process.pid)
    camera.answer(200)
    said = camera.end()

    seqs = [outcome["seq"] for outcome in camera.outcomes]
    assert seqs == sorted(set(seqs))
    assert not [outcome for outcome in camera.outcomes if outcome["late"] or outcome["degraded"]]
    [lost] = [
        line for line in metrics.splitlines() if line.startswith("offramp_unwritten_total") and "decisions" in line
    ]
    assert float(lost.split()[-1]) > 100
    first, *between, last = told(said, camera.decisions)
    assert len(between) <= 4  # a short line may find room where a long one did not
    assert first.startswith("'cannot be written (")
    assert last.startswith("'is written again'")
    log = summarised(camera.decisions)
    assert log.lost > 100
    assert log.frames + log.lost == len(camera.outcomes)
    assert {one.seq for one in read_log(camera.decisions)} < set(seqs)
    [learned] = read_states(camera.state)
    assert learned.state


def test_a_camera_starts_and_ends_without_room_on_its_disk(tmp_path: Path, tiny_bundle: Path, disk: Disk) -> None:
    disk.fill(0)
    camera = Camera(tmp_path, tiny_bundle, disk)
    camera.answer(100)
    said = camera.end()
    assert not [outcome for outcome in camera.outcomes if outcome["late"] or outcome["degraded"]]
    for path in (camera.decisions, camera.state, disk.folder / "ready.json"):
        [line] = told(said, path)
        assert line.startswith("'cannot be written ("), path
    assert not camera.state.exists()


WRITER = """
import sys
from pathlib import Path
from bandits.policy import Answer, Context, Costs, Observation
from split_core.readings import Reading
from split_core.telemetry.decisions import DecisionLog
from tests.edge_runtime.test_memory import memory, rules
from tests.split_core.test_decisions import HEADER, record
folder = Path(sys.argv[1])
kept, learned = memory(folder / "state.json"), rules()
assert sys.argv[2] == "0" or kept.restore(learned).startswith("going on from")
log = DecisionLog(folder / "log", HEADER, max_bytes=20_000, keep=1000)
for seq in range(int(sys.argv[2]), 1_000_000):
    plan = learned.policy.begin(Context((1, 2, 3), False, 100.0, Costs.published(3, 0.1, 0.3)))
    readings = tuple(Reading(exit, 0, 0.7) for exit in plan.heads)
    learned.policy.learn(Observation(plan, readings, Answer(readings[-1].exit), None, 0.1))
    kept.save(learned)
    kept._writer.flush()
    log.write(record(seq))
    log.flush()
    print(seq, flush=True)
"""


def killed(folder: Path, begin: int, count: int, then_s: float) -> int:
    """A process that saves and logs without a pause, and is killed so long after it said so often that it did.

    Returns what it said last.
    """
    words = [sys.executable, "-c", WRITER, str(folder), str(begin)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=root, env=environment()) as writer:
        assert writer.stdout
        last = [int(writer.stdout.readline()) for _ in range(count)][-1]
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(then_s)
        writer.kill()
        return max([last, *(int(line) for line in writer.stdout.read().splitlines())])


def test_what_was_saved_and_logged_is_there_after_a_kill_at_any_moment(tmp_path: Path) -> None:
    rng, begin = np.random.default_rng(0), 0
    for _ in range(6):
        begin = 1 + killed(tmp_path, begin, int(rng.integers(1, 40)), rng.uniform(0.0, 0.005))
        [kept] = read_states(tmp_path / "state.json")
        assert kept.state["choices"] >= begin
        assert {*range(begin)} <= {one.seq for one in read_log(tmp_path / "log")}
