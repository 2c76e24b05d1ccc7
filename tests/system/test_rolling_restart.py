"""Two workers are restarted one after the other, as an update does it; the camera between them loses nothing."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator

import pytest

from split_core.demo.processes import Background
from tests.edge_runtime.test_live import until
from tests.system.test_edge import DEADLINE_MS, Site, finished, wait_until_shipping
from tests.system.test_edge import site as site  # fixtures
from tests.system.test_edge import worker as worker

FRAMES = 400


@pytest.fixture
def second(site: Site, worker: Background) -> Iterator[Background]:
    running = site.worker()
    yield running
    running.end()


def restarted(site: Site, worker: Background) -> Background:
    """The same worker once more: told to end, waited for, and started at its address."""
    worker.signal(signal.SIGTERM)
    assert worker.process.wait(timeout=20) == 0
    worker.end()
    return site.worker(worker.ready["address"])


def test_a_rolling_restart_loses_no_frame(site: Site, worker: Background, second: Background):
    loop = {"path": str(site.folder / "images.npz"), "loop": True}
    link = {
        "address": [worker.ready["address"], second.ready["address"]],
        "server_key": str(site.folder / "worker.key"),
    }
    edge = site.edge(link=link, source={"kind": "array", "fps": 50, "limit": FRAMES, "options": loop})
    again: list[Background] = []
    try:
        wait_until_shipping(site)
        for one in (worker, second):
            answered = len(site.records())
            again.append(restarted(site, one))
            until(lambda answered=answered: len(site.records()) > answered + 30)
        finished(edge)
    finally:
        for one in again:
            one.end()
    records = site.records()
    assert sorted(record.seq for record in records) == list(range(FRAMES))
    assert not [record for record in records if record.latency_ms > DEADLINE_MS]
    counts = Counter((record.where, record.degraded) for record in records)
    # A worker that ends sends back what it does not finish, and the other one takes it.
    assert counts["cloud", ""] > 0.9 * FRAMES
    assert sum(count for (_, degraded), count in counts.items() if degraded) < 0.01 * FRAMES, counts
