"""Worker, link, camera and its peers as real processes, and what can be done to them; for benchmarks.outage."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from edge_runtime import profiling
from partitioner.build import Wish, partition
from partitioner.manifest import Identity, NetworkFile
from partitioner.sources import read_network
from partitioner.verify import Trial
from split_core import bundle as bundles
from split_core import policy as policies
from split_core import profiles
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.config import load
from split_core.demo.processes import Background, command, last_line
from split_core.policy import CodecSection, ExitSection, PolicyFile
from split_core.transport.keys import make_keys

DEMO = Path(__file__).parent.parent / "configs" / "demo"
IMAGES = DEMO / "fashion-mnist-test.npz"
FPS, DEADLINE_MS, MARGIN_MS = 25.0, 150.0, 60.0
FLAP_S = 2.0
GOOD, LOSSY, FAR = ("100", "1", "0"), ("100", "1", "0.3"), ("100", "1000", "0")  # Mbit/s, ms one way, loss of packets
NAMESPACES = ("offramp-edge", "offramp-cloud")
# Sends every frame while there is a cloud, so that every fault is felt by every frame.
POLICY = {"name": "fixed", "params": {"split": 1, "threshold": 1.0}}
PEERS: dict[str, list[str]] = {
    "timeout and retry": ["--timeout_ms", str(DEADLINE_MS), "--tries", "3"],
    "timeout, then local": ["--timeout_ms", str(DEADLINE_MS - MARGIN_MS), "--tries", "1", "--local"],
}

Play = Callable[[float], None]  # does it, for so many seconds, and puts an end to it


def make_files(folder: Path) -> Path:
    """Keys, bundle, policy and profile in `folder`; returns the bundle's."""
    network = load(DEMO / "network.yaml", NetworkFile)
    identity = Identity(name="fashion", version="1", preprocess=network.preprocess, labels=network.labels)
    path = partition(
        read_network(str(DEMO / "network.onnx")), folder, identity=identity, wish=Wish(), trial=Trial(), clock=time.time
    )
    bundle = bundles.load(path)
    images = np.load(IMAGES)["images"][:40, ..., None]
    measured = profiling.profile(bundle, OnnxRuntimeBackend(), list(images), name="outage", codecs=CodecSection())
    profiles.save(measured, folder / "profile.yaml")
    exits = (ExitSection(),) * bundle.manifest.exits
    policies.save(PolicyFile(bundle_id=bundle.id, exits=exits), folder / "policy.yaml")
    make_keys(folder, "worker")
    return path


class Site:
    """What all kinds of link share: the worker, the camera, and its peers.

    Args:
        folder: with what `make_files` makes.
        bundle: its bundle.
        here, there: words before every command of the device and of the worker.
        host: where the worker listens.
    """

    def __init__(
        self,
        folder: Path,
        bundle: Path,
        *,
        here: Sequence[str] = (),
        there: Sequence[str] = (),
        host: str = "127.0.0.1",
    ) -> None:
        self._folder, self._bundle, self._here, self._there = folder, bundle, here, there
        self._listen = f"tcp://{host}:0"
        self.worker = self._start_worker()
        self._listen = str(self.worker.ready["address"])
        self.address, self.edge, self._peers = self._listen, self.worker, list[Background]()

    def _start_worker(self) -> Background:
        config = {
            "listen": self._listen,
            "bundles": [str(self._bundle)],
            "curve": {"secret_key": str(self._folder / "worker.key_secret")},
        }
        path, ready = self._folder / "cloud.yaml", self._folder / "worker-ready.json"
        path.write_text(yaml.safe_dump(config))
        words = ["cloud", str(path), "--ready-file", str(ready)]
        program = [*self._there, *command()]
        return Background(words, self._folder / "worker.log", ready_file=ready, program=program)

    def start_cameras(self) -> dict[str, Path]:
        """Ours and the peers, all at once; returns where they write what became of every frame."""
        files = {name: self._folder / f"{name.replace(' ', '-')}.jsonl" for name in ("ours", *PEERS)}
        for path in files.values():
            path.unlink(missing_ok=True)
        settings, ready = self._folder / "edge.yaml", self._folder / "edge-ready.json"
        settings.write_text(yaml.safe_dump({**self._settings(files["ours"]), "ready_file": str(ready)}))
        words, program = ["edge", "run", str(settings), "--json"], [*self._here, *command()]
        self.edge = Background(words, self._folder / "edge.log", ready_file=ready, program=program)
        self._peers = [self._start_peer(name, files[name], options) for name, options in PEERS.items()]
        return files

    def _settings(self, outcomes: Path) -> dict[str, Any]:
        return {
            "bundle": str(self._bundle),
            "policy": str(self._folder / "policy.yaml"),
            "profile": str(self._folder / "profile.yaml"),
            "source": {"kind": "array", "fps": FPS, "options": {"path": str(IMAGES), "loop": True}},
            "link": {"address": self.address, "server_key": str(self._folder / "worker.key")},
            "deadline_ms": DEADLINE_MS,
            "margin_ms": MARGIN_MS,
            "bandit": POLICY,
            "outcomes": str(outcomes),
        }

    def _start_peer(self, name: str, out: Path, options: list[str]) -> Background:
        given = {"bundle": self._bundle, "key": self._folder / "worker.key", "images": IMAGES, "out": out}
        words = [word for key, value in given.items() for word in (f"--{key}", str(value))]
        program = [*self._here, sys.executable, "-m", "benchmarks.outage_client"]
        log = self._folder / f"{name}.log"
        return Background([*words, "--address", self.address, "--fps", str(FPS), *options], log, program=program)

    def faults(self) -> dict[str, Play]:
        """What can be done here."""
        return {"kill -9": self._kill, "freeze": self._freeze}

    def _kill(self, seconds: float) -> None:
        self.worker.signal(signal.SIGKILL)
        self.worker.end()
        time.sleep(seconds)
        self.worker = self._start_worker()

    def _freeze(self, seconds: float) -> None:
        self.worker.signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.worker.signal(signal.SIGCONT)

    def end(self) -> dict[str, Any]:
        """The camera drains; returns what it counted."""
        for process in (*self._peers, self.edge, self.worker):
            if process.process.poll() is not None:
                raise SystemExit(f"{process.log}: it ended too early: {last_line(process.log)}")
            process.end()
        last = [line for line in self.edge.log.read_text().splitlines() if line.startswith('{"frames"')]
        summary: dict[str, Any] = json.loads(last[-1])
        return summary


class Told(Site):
    """A site with a program between camera and worker, which obeys lines of JSON."""

    def _between(self, program: Sequence[str], *words: str) -> None:
        self._middle = Background(
            [*words, "--to", self._listen], self._folder / "link.log", talks=True, program=program
        )
        self.address = json.loads(self._middle.hear())["address"]

    def _tell(self, seconds: float, bad: dict[str, Any], good: dict[str, Any]) -> None:
        self._middle.say(json.dumps(bad))
        time.sleep(seconds)
        self._middle.say(json.dumps(good))

    def end(self) -> dict[str, Any]:
        summary = super().end()
        self._middle.end()
        return summary


class Relayed(Told):
    """Behind `offramp link`, which carries TCP's bytes."""

    def __init__(self, folder: Path, bundle: Path) -> None:
        super().__init__(folder, bundle)
        self._between(command("link"))

    def faults(self) -> dict[str, Play]:
        return {
            **super().faults(),
            "black hole": self._black_hole,
            "flapping every 2 s": self._flap,
            "1 s of delay": lambda seconds: self._tell(seconds, {"delay_ms": 1000.0}, {"delay_ms": 0.0}),
        }

    def _black_hole(self, seconds: float) -> None:
        self._tell(seconds, {"black_hole": True}, {"black_hole": False})

    def _flap(self, seconds: float) -> None:
        for left in range(max(2, round(seconds / (2 * FLAP_S))), 0, -1):
            self._black_hole(FLAP_S)
            time.sleep(FLAP_S if left > 1 else 0.0)


class Spoiled(Told):
    """Behind a program that loses, delays or replaces messages."""

    def __init__(self, folder: Path, bundle: Path) -> None:
        super().__init__(folder, bundle)
        program = [sys.executable, "-m", "benchmarks.outage_spoiler"]
        self._between(program, "--key", str(folder / "worker.key_secret"))

    def faults(self) -> dict[str, Play]:
        manners = {
            "30 % of messages lost": {"loss": 0.3},
            "a worker that answers late": {"late_ms": 2 * DEADLINE_MS},
            "a worker that answers garbage": {"garbage": True},
        }
        return {kind: (lambda seconds, bad=bad: self._tell(seconds, bad, {})) for kind, bad in manners.items()}


class Packets(Site):
    """In two network namespaces, joined by a program that loses and delays packets; needs root.

    Args:
        emulator: takes the two names, Mbit/s, milliseconds one way and the share of packets lost, and says "up".
    """

    def __init__(self, folder: Path, bundle: Path, emulator: Path) -> None:
        self._emulator, self._log = emulator, folder / "packets.log"
        self._shape(GOOD)
        here, there = (["ip", "netns", "exec", name] for name in NAMESPACES)
        super().__init__(folder, bundle, here=here, there=there, host="10.78.0.2")

    def _shape(self, link: Sequence[str]) -> None:
        words, program = [*NAMESPACES, *link], [sys.executable, str(self._emulator)]
        self._packets = Background(words, self._log, talks=True, program=program)
        self._packets.hear()

    def faults(self) -> dict[str, Play]:
        return {
            "packets: kill -9": self._kill,
            "packets: freeze": self._freeze,
            "packets: black hole": self._silence,
            "packets: 30 % lost": lambda seconds: self._reshape(seconds, LOSSY),
            "packets: 1 s of delay": lambda seconds: self._reshape(seconds, FAR),
        }

    def _silence(self, seconds: float) -> None:
        self._packets.signal(signal.SIGSTOP)
        time.sleep(seconds)
        self._packets.signal(signal.SIGCONT)

    def _reshape(self, seconds: float, link: Sequence[str]) -> None:
        for shape in (link, GOOD):
            self._packets.end()
            self._shape(shape)
            if shape is link:
                time.sleep(seconds)

    def end(self) -> dict[str, Any]:
        summary = super().end()
        self._packets.end()
        return summary


@contextmanager
def namespaces() -> Iterator[None]:
    """Two of them, for as long as they are needed."""
    for name in NAMESPACES:
        subprocess.run(["ip", "netns", "add", name], check=True)
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
    try:
        yield
    finally:
        for name in NAMESPACES:
            subprocess.run(["ip", "netns", "delete", name], check=False)
