"""A camera with two workers, as real processes."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Iterator

import pytest

from edge_runtime.config import EdgeConfig
from split_core.config import parsed
from split_core.demo.processes import Background
from split_core.errors import ConfigError
from tests.system.test_edge import DEADLINE_MS, Site, finished, wait_until_shipping
from tests.system.test_edge import site as site  # fixtures
from tests.system.test_edge import worker as worker


@pytest.fixture
def second(site: Site, worker: Background) -> Iterator[Background]:
    running = site.worker()
    yield running
    running.end()


def link_to(site: Site, *workers: Background) -> dict[str, object]:
    return {"address": [one.ready["address"] for one in workers], "server_key": str(site.folder / "worker.key")}


def test_while_one_of_two_is_killed_the_other_takes_its_frames(site: Site, worker: Background, second: Background):
    loop = {"path": str(site.folder / "images.npz"), "loop": True}
    source = {"kind": "array", "fps": 50, "limit": 300, "options": loop}
    edge = site.edge(link=link_to(site, worker, second), source=source)
    wait_until_shipping(site)
    worker.signal(signal.SIGKILL)
    said = finished(edge)
    records = site.records()
    assert max(Counter(record.seq for record in records).values()) == 1
    assert not [record for record in records if record.latency_ms > DEADLINE_MS]
    assert Counter(record.where for record in records[-100:])["cloud"] > 95  # the others on a machine that is busy
    assert Counter(record.where for record in records)["edge"] < 60  # until the first connection, and in flight
    lost = [json.loads(line) for line in said.splitlines() if '"lost: ' in line]
    assert all(line["worker"] == worker.ready["address"] for line in lost)


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ({"address": ["tcp://a:1", "tcp://b:1"], "server_key": ["1", "2", "3"]}, "3 server_key for 2 address"),
        ({"address": ["tcp://a:1", "tcp://a:1"], "server_key": "1"}, "one worker is listed twice"),
        ({"address": ["tcp://a:1"]}, "plain: true"),
    ],
)
def test_workers_that_cannot_be_meant_are_refused_in_one_line(site: Site, link: dict[str, object], words: str):
    with pytest.raises(ConfigError, match=words):
        parsed(site.config(link=link), EdgeConfig, "edge.yaml")
