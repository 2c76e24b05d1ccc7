"""A camera whose sinks hang, refuse and are away: all frames are answered in time, and what was lost is said."""

from __future__ import annotations

import json
import threading
from typing import Any
from urllib.request import urlopen

import pytest

from edge_runtime.app import EdgeApp
from edge_runtime.cli import told
from edge_runtime.config import EdgeConfig
from edge_runtime.frames.outcomes import Outcome
from split_core.config import parsed
from split_core.errors import ConfigError, MissingExtra
from tests.sink_peers import WebPeer
from tests.system.test_edge import Site
from tests.system.test_edge import site as site  # a fixture

EDGE_ONLY = {"name": "edge_only"}
FRAMES = 100


def embedded(site: Site, *, on_outcome: Any = None, **changes: Any) -> EdgeApp:
    source = {"kind": "array", "every": True, "limit": FRAMES, "options": {"path": str(site.folder / "images.npz")}}
    config = site.config(source=source, bandit=EDGE_ONLY, deadline_ms=2000.0, **changes)
    return EdgeApp(parsed(config, EdgeConfig, "test"), on_outcome=on_outcome)


def test_sinks_that_hang_refuse_or_are_away_delay_no_frame_and_no_other_sink(site: Site):
    refusing, gone, never = WebPeer(), WebPeer(), threading.Event()
    refusing.refuse()
    gone.die()
    outcomes = [
        {"kind": "webhook", **refusing.options},
        {"kind": "webhook", **gone.options},
        {"kind": "jsonl", "path": str(site.folder / "outcomes.jsonl")},
        {"kind": "callback", "function": lambda _: never.wait(), "queue": 10},
    ]
    app = embedded(site, outcomes=outcomes)
    app.run()
    refusing.end()
    never.set()
    summary = app.summary()
    lost = summary["outcomes_lost"]
    assert (summary["outcomes"], summary["late"], summary["degraded"]) == (FRAMES, 0, {})
    assert {name: sum(reasons.values()) for name, reasons in lost.items()} == dict.fromkeys(
        ("webhook", "webhook-2", "callback"), FRAMES
    )
    assert lost["webhook"]["refused"] >= 1
    assert lost["callback"]["full"] >= FRAMES - 21
    written = [json.loads(line)["seq"] for line in (site.folder / "outcomes.jsonl").read_text().splitlines()]
    assert written == list(range(FRAMES))
    assert "outcomes lost on their way: " in told(summary)
    assert " closing (webhook-2)" in told(summary)


def test_who_embeds_the_camera_gets_every_outcome_in_order(site: Site):
    got: list[Outcome] = []
    app = embedded(site, on_outcome=got.append)
    app.run()
    assert [outcome.seq for outcome in got] == list(range(FRAMES))
    assert "outcomes_lost" not in app.summary()


def test_what_was_lost_stands_in_the_metrics(site: Site):
    got = threading.Event()

    def fail(_: Outcome) -> None:
        got.set()
        raise RuntimeError("no relay")

    ready = site.folder / "ready.json"
    app = embedded(site, on_outcome=fail, ready_file=str(ready))
    address = json.loads(ready.read_text())["http"]
    app.loop._on_outcome[-1](Outcome(1, 0, "cat", 0.9, 1, "edge", "", 5.0, late=False))
    assert got.wait(20.0)
    app.stop()
    app._sinks[-1].close()
    with urlopen(f"{address}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    app._stack.close()
    assert 'offramp_outcomes_lost_total{reason="failed",sink="on_outcome"} 1.0' in text


@pytest.mark.parametrize(
    ("outcomes", "error", "said"),
    [
        ([{"kind": "webhok", "url": "http://here"}], ConfigError, "no sink named 'webhok'; did you mean 'webhook'?"),
        ([{"kind": "webhook"}], ConfigError, "url"),
        ([{"kind": "callback", "function": "no_such_module:act"}], MissingExtra, "no_such_module"),
        ([{"kind": "jsonl", "only": "never"}], ConfigError, "only"),
        ([{"kind": "jsonl"}, {"kind": "webhook", "url": "nowhere"}], ConfigError, "url: not an address"),
    ],
)
def test_a_sink_that_cannot_be_is_one_line_and_leaves_nothing_running(
    site: Site, outcomes: list[dict[str, Any]], error: type[Exception], said: str
):
    before = set(threading.enumerate())
    with pytest.raises(error) as caught:
        embedded(site, outcomes=outcomes)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert {thread.name for thread in set(threading.enumerate()) - before} == set()
