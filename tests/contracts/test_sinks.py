"""Whatever `SINKS` holds must do this, whatever its peer does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.config import EdgeConfig
from edge_runtime.sinks import SINKS
from edge_runtime.sinks.opening import open_sinks
from edge_runtime.sinks.sink import Sink, close_all, losses
from split_core.config import parsed
from split_core.errors import ConfigError
from tests.sink_peers import PEERS, outcome, until

COUNT, ROOM = 60, 20
GENEROUS_S = 10.0  # for a machine that is busy; what is promised is `within_s` and a little


def opened(kind: str, told: list[str] | None = None, **options: Any) -> Sink:
    config = {"bundle": "b", "policy": "p", "profile": "q", "camera": "door", "source": {"kind": "array"}}
    checked = parsed({**config, "outcomes": [{"kind": kind, **options}]}, EdgeConfig, "edge.yaml")
    [sink] = open_sinks(checked, lambda name, line: (told if told is not None else []).append(line))
    return sink


@pytest.fixture(params=list(SINKS))
def kind(request: pytest.FixtureRequest) -> str:
    assert request.param in PEERS, f"a new sink {request.param!r} needs a peer in tests/sink_peers.py"
    return request.param


@pytest.fixture
def peer(kind: str, tmp_path: Path) -> Iterator[Any]:
    made = PEERS[kind](tmp_path)
    yield made
    made.end()


def put(sink: Sink, first: int, count: int) -> None:
    for seq in range(first, first + count):
        sink(outcome(seq))


def in_order(seqs: list[int]) -> list[int]:
    """Each once, where it came first: what is delivered at least once may come again."""
    return list(dict.fromkeys(seqs))


def test_every_outcome_is_delivered_in_order(kind: str, peer: Any):
    sink = opened(kind, **peer.options)
    put(sink, 0, 500)
    until(lambda: len(peer.got()) >= 500, f"{len(peer.got())} of 500 came")
    sink.close()
    assert peer.got() == list(range(500))
    assert sink.lost == {}


def test_what_waits_is_delivered_at_the_end(kind: str, peer: Any):
    sink = opened(kind, **peer.options)
    put(sink, 0, 1)
    until(lambda: peer.got() == [0], "the first never came")
    put(sink, 1, COUNT)
    sink.close(GENEROUS_S)
    assert peer.got() == list(range(COUNT + 1))
    assert sink.lost == {}


def test_a_peer_that_hangs_delays_nobody_and_every_loss_is_counted(kind: str, peer: Any):
    peer.hang()
    sink = opened(kind, queue=ROOM, **peer.options)
    for seq in range(COUNT):
        sink(outcome(seq))  # the peer goes on only afterwards: a call that waited for it would wait for ever
    full = sink.lost["full"]
    assert full >= COUNT - 2 * ROOM
    peer.heal()
    sink.close(GENEROUS_S)
    got = peer.got()
    assert in_order(got) == sorted(set(got))
    assert len(set(got)) == COUNT - sum(sink.lost.values())
    assert sink.lost["full"] == full


def test_a_peer_that_hangs_keeps_nobody_from_ending(kind: str, peer: Any):
    peer.hang()
    sink = opened(kind, **peer.options)
    put(sink, 0, COUNT)
    began_s = time.monotonic()
    sink.close(0.2)
    assert time.monotonic() - began_s < GENEROUS_S
    assert sink.lost == {"closing": COUNT}
    assert peer.got() == []


@pytest.mark.parametrize("fate", ["die", "refuse"])
def test_a_peer_that_is_not_there_or_refuses_costs_outcomes_and_no_time(kind: str, fate: str, peer: Any):
    getattr(peer, fate)()
    sink = opened(kind, queue=ROOM, **peer.options)
    put(sink, 0, COUNT)
    began_s = time.monotonic()
    sink.close(3.0)
    assert time.monotonic() - began_s < GENEROUS_S
    assert sum(sink.lost.values()) == COUNT
    assert peer.got() == []


def test_a_peer_that_comes_back_gets_what_comes_then_and_nothing_is_forgotten(kind: str, peer: Any):
    sink = opened(kind, **peer.options)
    put(sink, 0, 1)
    until(lambda: peer.got() == [0], "the first never came")
    if kind != "jsonl":  # there it would take the file along
        peer.die()
    put(sink, 1, COUNT)
    peer.heal()
    put(sink, 1 + COUNT, COUNT)
    until(lambda: 2 * COUNT in peer.got(), "the last never came")
    sink.close(GENEROUS_S)
    got = in_order(peer.got())
    assert got == sorted(got)
    assert len(got) == 1 + 2 * COUNT - sum(sink.lost.values())


def test_a_slow_peer_gets_what_it_can_take(kind: str, peer: Any):
    peer.slow()
    sink = opened(kind, queue=ROOM, **peer.options)
    put(sink, 0, COUNT)
    sink.close(GENEROUS_S)
    got = peer.got()
    assert got == sorted(set(got))
    assert len(got) == COUNT - sum(sink.lost.values()) >= ROOM
    assert set(sink.lost) <= {"full"}


def test_only_what_is_wanted_is_delivered_and_the_rest_is_not_lost(kind: str, peer: Any):
    sink = opened(kind, only=["degraded", "marked"], **peer.options)
    sink(outcome(0))
    sink(outcome(1, degraded="timeout"))
    sink(outcome(2, marked="unsure"))
    sink(outcome(3, marked="unsure", degraded="busy"))
    until(lambda: len(peer.got()) >= 3, "not all came")
    sink.close()
    assert peer.got() == [1, 2, 3]
    assert sink.lost == {}


def test_changes_are_told_of_each_camera(kind: str, peer: Any):
    sink = opened(kind, only="changed", **peer.options)
    for seq, label in enumerate((1, 1, 2, 2, 1)):
        sink(outcome(seq, label=label))
    until(lambda: len(peer.got()) >= 3, "not all came")
    sink.close()
    assert peer.got() == [0, 2, 4]


def test_an_option_that_there_is_not_is_one_line_that_says_which_there_are(kind: str, peer: Any):
    with pytest.raises(ConfigError, match=rf"sink '{kind}' has no parameter 'lingr'.*there are: ") as caught:
        opened(kind, lingr=1, **peer.options)
    assert "\n" not in str(caught.value)


def test_all_sinks_end_at_the_same_time(tmp_path: Path):
    peers = [PEERS["callback"](tmp_path) for _ in range(5)]
    for one in peers:
        one.hang()
    sinks = [opened("callback", **one.options) for one in peers]
    for sink in sinks:
        put(sink, 0, 3)
    began_s = time.monotonic()
    close_all(sinks, within_s=0.5)
    assert time.monotonic() - began_s < 2.0
    assert [sink.lost for sink in sinks] == [{"closing": 3}] * 5
    assert losses(sinks) == {"callback": {"closing": 3}}
    for one in peers:
        one.end()
