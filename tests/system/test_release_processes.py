"""A release that comes while camera and worker run as processes of their own, and frames are in flight."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from split_core import bundle as bundles
from split_core.demo.processes import Background
from split_core.release_store import ReleaseStore
from split_core.telemetry.decisions import read_notes
from tests.release_world import another_bundle
from tests.system.test_edge import Site, finished
from tests.system.test_edge import site as site  # a fixture
from tests.tiny import tiny_samples

PATIENCE_S = 40.0
DEADLINE_MS = 1500.0  # far above what anything takes, and below what a camera that stands still would need


@pytest.fixture(scope="module")
def second(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return another_bundle(tiny_model_path, tmp_path_factory.mktemp("second") / "bundles", "2")


@pytest.fixture
def store(site: Site, second: Path) -> ReleaseStore:
    """The site's bundle is active; another one is the candidate."""
    from split_core import policy as policies
    from split_core import profiles
    from split_core.release import Held

    store, files = ReleaseStore(site.folder / "releases"), site.folder
    store.add(Held(site.bundle, files / "policy.yaml", files / "profile.yaml"))
    store.promote("active")
    bundle_id = bundles.load(second).id
    policy = policies.load(files / "policy.yaml").model_copy(update={"bundle_id": bundle_id})
    policies.save(policy, files / "second.yaml")
    measured = profiles.load(files / "profile.yaml").model_copy(update={"bundle_id": bundle_id})
    profiles.save(measured, files / "second-profile.yaml")
    store.add(Held(second, files / "second.yaml", files / "second-profile.yaml"))
    np.savez(files / "images.npz", images=tiny_samples(600, seed=5)[0])
    return store


def camera(site: Site, store: ReleaseStore, address: str, **more: Any) -> subprocess.Popen[str]:
    """Ships every frame; ends by itself after twenty seconds at the latest."""
    source = {
        "kind": "array",
        "fps": 40,
        "options": {"path": str(site.folder / "images.npz"), "loop": True},
        "limit": 900,
    }
    releases = {"store": str(store.folder), "unsigned": True, "probation_s": 2.0, "agree": 0.5}
    nothing = {"bundle": "", "policy": "", "profile": ""}
    time_limits = {"deadline_ms": DEADLINE_MS, "margin_ms": 500.0}
    return site.edge(address, **nothing, **time_limits, releases=releases, source=source, **more)


def wait_for(true: Callable[[], bool]) -> None:
    """At most for some time."""
    until_s = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < until_s, "it did not happen"
        time.sleep(0.05)


def shipped(site: Site) -> int:
    path = site.folder / "decisions.jsonl"
    return sum(record.where == "cloud" for record in site.records()) if path.exists() else 0


@pytest.fixture
def both(site: Site, store: ReleaseStore) -> Iterator[Background]:
    """A worker that has both bundles: a store of releases is a folder of bundles, too."""
    running = site.worker(bundle=store.folder)
    yield running
    running.end()


def test_frames_in_flight_are_answered_by_the_bundle_that_they_began_with(
    site: Site, store: ReleaseStore, both: Background, second: Path
):
    edge = camera(site, store, both.ready["address"])
    try:
        wait_for(lambda: shipped(site) > 20)
        name = store.promote().name
        wait_for(lambda: store.pointer("active") == name)
    finally:
        edge.terminate()
    said = finished(edge)
    records = site.records()
    assert max(Counter(record.seq for record in records).values()) == 1
    late = [record for record in records if record.latency_ms > DEADLINE_MS]
    assert late == []
    assert [header["bundle"] for header in read_notes(site.folder / "decisions.jsonl", "header")][-1] == bundles.load(
        second
    ).id
    reasons = Counter(record.degraded for record in records)
    assert not {"refused", "timeout", "engine"} & set(reasons), reasons
    assert "release kept" in said
    assert Counter(record.where for record in records[-20:]) == {"cloud": 20}


@pytest.mark.slow
def test_a_release_waits_for_a_worker_that_has_its_bundle(
    site: Site, store: ReleaseStore, second: Path, both: Background
):
    old = site.worker()
    edge = camera(
        site, store, "", link={"address": old.ready["address"], "server_key": str(site.folder / "worker.key")}
    )
    try:
        wait_for(lambda: shipped(site) > 20)
        name = store.promote().name
        wait_for(lambda: [entry.what for entry in store.history()][-1] == "try")
        before = shipped(site)
        wait_for(lambda: shipped(site) > before + 80)  # two seconds; the comparison is done after one
        assert store.pointer("trial") == name
        port = old.ready["address"].rpartition(":")[2]
        old.end()
        newer = site.worker(f"tcp://127.0.0.1:{port}", bundle=store.folder)
        try:
            wait_for(lambda: store.pointer("active") == name)
        finally:
            edge.terminate()
            said = finished(edge)
            newer.end()
    finally:
        old.end()
        edge.kill()
    assert said.count("waits for a worker") == 1
    records = site.records()
    assert max(Counter(record.seq for record in records).values()) == 1
    assert not [record for record in records if record.latency_ms > DEADLINE_MS]
    assert "refused" not in {record.degraded for record in records}
