"""The camera's program as a process of its own, against real workers: CURVE, sockets, onnxruntime."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import yaml

from edge_runtime import profiling
from edge_runtime.app import EdgeApp
from edge_runtime.config import EdgeConfig
from split_core import bundle as bundles
from split_core import policy as policies
from split_core import profiles
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.config import parsed
from split_core.demo.processes import Background, environment
from split_core.errors import ConfigError, PolicyFileError, ProfileError
from split_core.evidence import Evidence
from split_core.policy import CodecSection, ExitSection, PolicyFile
from split_core.policy_guard import EnvelopeSection
from split_core.policy_state import read_states
from split_core.policy_store import PolicyStore
from split_core.telemetry.audit import AuditRecord
from split_core.telemetry.decisions import FrameRecord, read_log, read_notes
from split_core.transport.keys import make_keys
from tests.tiny import PREPROCESS, tiny_samples

DEADLINE_MS = 400.0
ALWAYS_SHIP = {"name": "fixed", "params": {"split": 1, "threshold": 1.0}}

# A camera has none of these: importing them must not even be tried.
BARE = (
    "import sys; sys.modules.update(dict.fromkeys(['torch', 'onnx', 'typer', 'rich', 'matplotlib', 'scipy', 'av'])); "
    "from edge_runtime.__main__ import main; sys.exit(main(sys.argv[1:]))"
)


@dataclass
class Site:
    """A bundle, its policy and profile, keys and pictures, in one folder."""

    folder: Path
    bundle: Path
    images: np.ndarray

    def worker(self, listen: str = "tcp://127.0.0.1:0", bundle: Path | None = None) -> Background:
        config = {
            "listen": listen,
            "bundles": [str(bundle or self.bundle)],
            "curve": {"secret_key": str(self.folder / "worker.key_secret")},
            "http": "127.0.0.1:0",
        }
        (self.folder / "cloud.yaml").write_text(yaml.safe_dump(config))
        ready = self.folder / "worker-ready.json"
        words = ["cloud", str(self.folder / "cloud.yaml"), "--ready-file", str(ready)]
        return Background(words, self.folder / "worker.log", ready_file=ready)

    def config(self, address: str = "", **changes: Any) -> dict[str, Any]:
        link = {"address": address, "server_key": str(self.folder / "worker.key")} if address else {}
        return {
            "bundle": str(self.bundle),
            "policy": str(self.folder / "policy.yaml"),
            "profile": str(self.folder / "profile.yaml"),
            "link": link,
            "source": {"kind": "array", "fps": 50, "options": {"path": str(self.folder / "images.npz")}},
            "deadline_ms": DEADLINE_MS,
            "margin_ms": 120,
            "decisions": str(self.folder / "decisions.jsonl"),
            "bandit": ALWAYS_SHIP,
            "http": "127.0.0.1:0",
            **changes,
        }

    def edge(self, address: str = "", **changes: Any) -> subprocess.Popen[str]:
        (self.folder / "decisions.jsonl").unlink(missing_ok=True)
        (self.folder / "edge.yaml").write_text(yaml.safe_dump(self.config(address, **changes)))
        return subprocess.Popen(
            [sys.executable, "-c", BARE, str(self.folder / "edge.yaml")],
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )

    def records(self) -> list[FrameRecord]:
        return list(read_log(self.folder / "decisions.jsonl"))


@pytest.fixture
def site(tiny_bundle: Path, tmp_path: Path) -> Site:
    bundle = bundles.load(tiny_bundle)
    images, _ = tiny_samples(150, seed=5)
    np.savez(tmp_path / "images.npz", images=images)
    policies.save(PolicyFile(bundle_id=bundle.id, exits=(ExitSection(),) * 3), tmp_path / "policy.yaml")
    measured = profiling.profile(bundle, OnnxRuntimeBackend(), list(images[:20]), name="test", codecs=CodecSection())
    profiles.save(measured, tmp_path / "profile.yaml")
    make_keys(tmp_path, "worker")
    return Site(tmp_path, tiny_bundle, images)


@pytest.fixture
def worker(site: Site) -> Iterator[Background]:
    running = site.worker()
    yield running
    running.end()


def finished(edge: subprocess.Popen[str]) -> str:
    """What it said on standard error, once it has ended well."""
    _, said = edge.communicate(timeout=60)
    assert edge.returncode == 0, said
    return said


def test_frames_are_finished_by_the_worker_as_the_whole_network_would(
    site: Site, worker: Background, tiny_model_path: Path
):
    finished(site.edge(worker.ready["address"]))
    records = site.records()
    whole = onnxruntime.InferenceSession(tiny_model_path.read_bytes())
    expected = whole.run(["exit_3"], {"image": PREPROCESS.tensor(site.images)})[0].argmax(axis=1)
    cloud = [record for record in records if record.where == "cloud"]
    assert len(cloud) > 0.8 * len(records) > 100
    agree = np.mean([record.label == expected[record.seq] for record in cloud])
    assert agree > 0.97  # eight bits on the way may turn a tie


def test_answers_of_the_device_are_checked_in_the_background_and_agree_with_what_the_worker_says_of_shipped_frames(
    site: Site, worker: Background, tiny_model_path: Path
):
    early = {"name": "fixed", "params": {"split": 1, "threshold": 0.0}}
    finished(site.edge(worker.ready["address"], bandit=early, audit={"share": 0.5}))
    records = {record.seq: record for record in site.records()}
    audits = [AuditRecord.from_json(note) for note in read_notes(site.folder / "decisions.jsonl", "audit")]
    assert {(record.where, record.shipped) for record in records.values()} == {("edge", -1)}
    assert 0.3 * len(records) < len(audits) < 0.7 * len(records)
    assert [(a.label, a.propensity) for a in audits] == [(records[a.seq].label, 0.5) for a in audits]
    whole = onnxruntime.InferenceSession(tiny_model_path.read_bytes())
    expected = whole.run(["exit_3"], {"image": PREPROCESS.tensor(site.images)})[0].argmax(axis=1)
    assert np.mean([audit.verdict_label == expected[audit.seq] for audit in audits]) > 0.95


def test_a_broken_promise_is_noted_and_kept_from_then_on_and_another_policy_is_proposed(site: Site, worker: Background):
    exits = (ExitSection(certified=0.0), ExitSection(certified=0.0), ExitSection())
    envelope = EnvelopeSection(share=1.0, target=0.99)
    file = PolicyFile(
        bundle_id=bundles.load(site.bundle).id, exits=exits, envelope=envelope, evidence=Evidence(target=0.99)
    )
    store = PolicyStore(site.folder / "store")
    policies.save(file, site.folder / "promising.yaml")
    store.promote("active", store.add(site.folder / "promising.yaml"))
    early = {"name": "fixed", "params": {"split": 1, "threshold": 0.0}}
    kept = {"policy": str(store.folder), "bandit": early, "state": str(site.folder / "state.json")}
    said = finished(site.edge(worker.ready["address"], **kept))
    (note,) = read_notes(site.folder / "decisions.jsonl", "envelope")
    assert (note["stage"], note["floors"][0]) == ("shrunk", None)
    assert note["agreement"] < 0.99
    where = [record.where for record in site.records()]
    assert where[:16] == ["edge"] * 16
    assert where[-30:].count("cloud") > 25  # exit 1 answers nothing any more; a busy machine loses a link at times
    assert all(record.exit > 1 or record.degraded for record in site.records()[-30:])
    (state,) = read_states(site.folder / "state.json")
    assert state.void is not None
    assert state.void.detector == "agreement"
    proposed = store.load(store.pointer("candidate"))
    assert (proposed.version, proposed.exits[0].certified, proposed.envelope) == (2, None, envelope)
    assert store.pointer("candidate") in said
    assert store.pointer("active").startswith("0001-")  # nobody follows a proposal


def test_a_killed_worker_costs_no_deadline_and_is_used_again(site: Site, worker: Background):
    address = worker.ready["address"]
    loop = {
        "kind": "array",
        "fps": 50,
        "limit": 300,
        "options": {"path": str(site.folder / "images.npz"), "loop": True},
    }
    edge = site.edge(address, source=loop, ready_file=str(site.folder / "ready.json"))
    wait_until_shipping(site)
    worker.signal(signal.SIGKILL)
    worker.process.wait(timeout=10)
    again = site.worker(address)
    try:
        finished(edge)
    finally:
        again.end()
    records = site.records()
    assert max(Counter(record.seq for record in records).values()) == 1
    assert not [record for record in records if record.latency_ms > DEADLINE_MS]
    assert records[-1].where == "cloud"
    assert any(record.where == "edge" for record in records)


def wait_until_shipping(site: Site) -> None:
    """Return when the log shows an answer of the cloud."""
    from split_core.demo.processes import wait_for

    log = site.folder / "decisions.jsonl"
    wait_for(lambda: log.exists() and '"where":"cloud"' in log.read_text(), lambda: None, str, "edge")


def test_a_worker_with_another_bundle_refuses_in_one_line_and_the_camera_goes_on(
    site: Site, tmp_path: Path, tiny_model_path: Path
):
    from partitioner.build import Wish, partition
    from partitioner.sources import read_network
    from partitioner.verify import Trial
    from tests.tiny import IDENTITY

    other = partition(
        read_network(str(tiny_model_path)),
        tmp_path / "other",
        identity=IDENTITY.model_copy(update={"name": "other"}),
        wish=Wish(),
        trial=Trial(),
        clock=lambda: 0.0,
    )
    running = site.worker(bundle=other)
    try:
        said = finished(site.edge(running.ready["address"]))
    finally:
        running.end()
    (line,) = [line for line in said.splitlines() if "refuses" in line]
    assert bundles.load(site.bundle).id[:12] in line
    assert {(record.where, record.exit) for record in site.records()} == {("edge", 3)}


def test_a_wrong_server_key_never_connects(site: Site, worker: Background):
    make_keys(site.folder, "stranger")
    config = site.config(worker.ready["address"])
    config["link"]["server_key"] = str(site.folder / "stranger.key")
    finished(site.edge(link=config["link"]))
    assert {record.where for record in site.records()} == {"edge"}


def test_terminate_drains_and_ends_well(site: Site, worker: Background):
    loop = {"kind": "array", "fps": 50, "options": {"path": str(site.folder / "images.npz"), "loop": True}}
    edge = site.edge(worker.ready["address"], source=loop)
    wait_until_shipping(site)
    edge.terminate()
    finished(edge)
    seqs = [record.seq for record in site.records()]
    assert len(seqs) == len(set(seqs))


def test_a_changed_byte_in_the_bundle_is_one_line_and_exit_code_3(site: Site, tmp_path: Path):
    copy = tmp_path / "copy"
    shutil.copytree(site.bundle, copy)
    victim = copy / "segments" / sorted(path.name for path in (copy / "segments").iterdir())[0]
    data = bytearray(victim.read_bytes())
    data[-1] ^= 1
    victim.write_bytes(bytes(data))
    edge = site.edge(bundle=str(copy))
    _, said = edge.communicate(timeout=30)
    assert edge.returncode == 3
    assert len(said.strip().splitlines()) == 1
    assert "copy the bundle again" in said


def test_a_policy_of_another_bundle_is_refused(site: Site):
    policies.save(PolicyFile(bundle_id="f" * 64, exits=(ExitSection(),) * 3), site.folder / "policy.yaml")
    with pytest.raises(PolicyFileError, match="run 'offramp calibrate'"):
        EdgeApp(parsed(site.config(), EdgeConfig, "test"))


def test_a_profile_of_another_bundle_is_refused(site: Site):
    measured = profiles.load(site.folder / "profile.yaml").model_copy(update={"bundle_id": "f" * 64})
    profiles.save(measured, site.folder / "profile.yaml")
    with pytest.raises(ProfileError, match="run 'offramp profile'"):
        EdgeApp(parsed(site.config(), EdgeConfig, "test"))


def test_an_unknown_key_names_the_nearest_known_one(site: Site):
    config = site.config()
    config["link"] = {"adress": "tcp://x:1"}
    with pytest.raises(ConfigError, match=r"link\.adress: unknown key; did you mean 'address'"):
        parsed(config, EdgeConfig, "edge.yaml")


def test_a_worker_in_the_clear_must_be_asked_for(site: Site):
    with pytest.raises(ConfigError, match="plain: true"):
        parsed({**site.config(), "link": {"address": "tcp://x:1"}}, EdgeConfig, "edge.yaml")


def test_an_option_that_a_source_does_not_take_is_one_line(site: Site):
    config = {**site.config(), "source": {"kind": "array", "options": {"path": "x", "lopp": True}}}
    with pytest.raises(ConfigError, match="lopp"):
        EdgeApp(parsed(config, EdgeConfig, "test"))


def test_health_and_metrics_are_served_while_it_runs(site: Site):
    from urllib.request import urlopen

    ready = site.folder / "ready.json"
    app = EdgeApp(parsed(site.config(ready_file=str(ready)), EdgeConfig, "test"))
    address = json.loads(ready.read_text())["http"]
    [camera] = app.cameras.values()
    camera.feed.start()
    with app._stack:
        for _ in range(50):
            app.loop.step()
            app._wait()
        with urlopen(f"{address}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    camera.feed.stop()
    assert 'offramp_frames_total{camera="camera",reason="",where="edge"}' in text
