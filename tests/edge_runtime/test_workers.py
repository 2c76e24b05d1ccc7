"""Several workers: who gets a frame, and what happens when one is away, busy, or lies."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.link.allowance import Allowance
from split_core import wire
from tests.edge_runtime.world import ADDRESS, Fate, World

SHIPS: dict[str, Any] = {"policy": "cloud_only", "ship_input": True}
FIRST, SECOND, THIRD = (f"{ADDRESS}-{n}" for n in range(3))


def shipping(bundle: Path, workers: int, frames: int = 40, gap_s: float = 0.03, **more: Any) -> World:
    """Workers that know the camera, and frames to come."""
    world = World(bundle, **{**SHIPS, "workers": workers, **more})
    world.play(0.1)
    world.heard.clear()
    world.camera([gap_s * n for n in range(frames)])
    return world


def busy(message: wire.Message) -> list[bytes | memoryview]:
    """A worker that has no room for half a minute."""
    return wire.encode(wire.Refusal(message.request_id, "busy", "no room", retry_after_ms=30_000.0))


def silent(message: wire.Message) -> None:
    """A worker that greets nobody and answers nothing."""


def greets_only(world: World, message: wire.Message) -> list[bytes | memoryview] | None:
    """A worker that greets, and answers nothing else."""
    return world.default_answer(message) if isinstance(message, wire.Hello) else None


def offloads(world: World) -> dict[str, int]:
    """Frames that each worker was sent."""
    return {who.split()[0]: count for who, count in world.heard.items() if who.endswith("Offload")}


def test_frames_are_spread_over_the_workers(tiny_bundle: Path) -> None:
    world = shipping(tiny_bundle, 3, frames=120)
    world.play(4.0)
    assert {(one.where, one.degraded) for one in world.outcomes} == {("cloud", "")}
    assert set(offloads(world)) == {FIRST, SECOND, THIRD}
    assert min(offloads(world).values()) > 20


def test_the_one_with_less_to_do_gets_more(tiny_bundle: Path) -> None:
    world = shipping(tiny_bundle, 2, frames=60)
    world.links[0].queue_ms = 50.0  # as measured; it hears of no better while nobody asks it
    world.play(2.5)
    assert offloads(world) == {SECOND: 60}


def test_another_worker_takes_over_and_two_frames_were_lost(tiny_bundle: Path) -> None:
    world = shipping(tiny_bundle, 2, frames=60, answers={})
    world.answers[FIRST] = silent
    world.play(2.5)
    reasons = Counter(one.degraded for one in world.outcomes)
    assert reasons["timeout"] == 2
    assert set(reasons) == {"", "timeout"}
    assert {one.where for one in world.outcomes[10:]} == {"cloud"}
    assert world.links[0].breaker.state == "open"
    assert world.links[1].breaker.state == "closed"


def test_no_frame_is_lost_to_a_worker_that_has_gone(tiny_bundle: Path) -> None:
    world = shipping(tiny_bundle, 2, frames=60)
    world.listeners[1].close()
    world.play(2.5)
    assert {(one.where, one.degraded) for one in world.outcomes} == {("cloud", "")}


def test_a_frame_that_a_busy_worker_sends_back_is_taken_by_another(tiny_bundle: Path) -> None:
    world = shipping(tiny_bundle, 2, frames=40)
    world.answers[FIRST] = lambda message: (
        busy(message) if isinstance(message, wire.Offload) else world.default_answer(message)
    )
    world.play(2.0)
    assert {(one.where, one.degraded) for one in world.outcomes} == {("cloud", "")}
    assert offloads(world) == {FIRST: 1, SECOND: 40}  # it asked not to be asked
    assert world.links[0].breaker.state == "closed"


def test_when_all_are_busy_the_device_answers(tiny_bundle: Path) -> None:
    world = shipping(tiny_bundle, 2, frames=10)
    world.answer = lambda message: busy(message) if isinstance(message, wire.Offload) else world.default_answer(message)
    world.play(1.0)
    assert len(world.outcomes) == 10
    assert {one.where for one in world.outcomes} == {"edge"}
    assert sum(offloads(world).values()) == 2
    assert not [one for one in world.outcomes if one.late]


def test_a_worker_that_greets_and_does_not_answer_costs_ever_fewer_frames(tiny_bundle: Path) -> None:
    world = shipping(tiny_bundle, 1, frames=300, gap_s=0.11)
    world.answer = lambda message: greets_only(world, message)
    world.play(34.0)
    lost = [world.frames[one.seq] - world.frames[0] for one in world.outcomes if one.degraded == "timeout"]
    gaps = [later - before for before, later in pairwise(lost)]
    assert len(world.outcomes) == 300
    assert 10 < len(lost) < 40
    assert gaps[-1] > 1.5 > gaps[2]


def test_one_answer_after_such_a_time_is_enough_to_go_on(tiny_bundle: Path) -> None:
    world = shipping(tiny_bundle, 1, frames=120, gap_s=0.11)
    world.answer = lambda message: greets_only(world, message)
    world.play(4.0)
    world.answer = None
    back_at_s = world.clock.now
    world.play(10.0)
    first = next(one for one in world.outcomes if one.where == "cloud")
    assert world.frames[first.seq] - back_at_s < 2.0
    assert {one.where for one in world.outcomes if one.seq > first.seq} == {"cloud"}


def test_what_is_still_missing_from_before_an_outage_does_not_count_again(tiny_bundle: Path) -> None:
    """Three frames are on their way when two are found to be lost; the third says nothing new."""
    world = World(tiny_bundle, **SHIPS)
    world.play(0.05)
    epoch = world.breaker.epoch
    now = world.clock.now
    for _ in range(2):
        world.breaker.failed(now, epoch)
    world.breaker.probed(1, now)
    assert world.breaker.probe_answered(1, now)
    world.breaker.failed(now, epoch)
    assert world.breaker.state == "half_open"


def test_when_the_allowance_is_used_up_the_device_answers_and_is_in_time(tiny_bundle: Path) -> None:
    world = shipping(tiny_bundle, 2, frames=100, allowance=Allowance(per_s=5.0))
    world.play(4.0)
    where = Counter(one.where for one in world.outcomes)
    assert where["cloud"] == pytest.approx(15, abs=2)
    assert where["edge"] == 100 - where["cloud"]
    assert {one.degraded for one in world.outcomes} == {""}


def test_bytes_are_counted_also_of_frames_that_were_sent_twice(tiny_bundle: Path) -> None:
    allowance = Allowance()
    world = shipping(tiny_bundle, 2, frames=1, allowance=allowance)
    world.answer = lambda message: busy(message) if isinstance(message, wire.Offload) else world.default_answer(message)
    world.play(0.5)
    (record,) = world.records
    assert allowance.spent_bytes == 2 * record.payload_bytes > 0


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 3),
    st.lists(st.sampled_from(["answer", "busy", "silent", "greets", "garbage"]), min_size=3, max_size=3),
    st.lists(st.builds(Fate, st.floats(0.0, 0.15), st.integers(0, 2)), max_size=60),
    st.sampled_from([0.0, 20.0]),
)
def test_one_outcome_in_time_for_every_frame_whatever_the_workers_do(
    tiny_bundle: Path, workers: int, manners: list[str], fates: list[Fate], per_s: float
) -> None:
    world = World(tiny_bundle, policy="random", workers=workers, fates=fates, allowance=Allowance(per_s=per_s))
    kinds = {
        "answer": world.default_answer,
        "busy": busy,
        "silent": silent,
        "greets": lambda message: greets_only(world, message),
        "garbage": lambda message: [b"\xc1"],
    }
    world.answers = {link: kinds[manner] for link, manner in zip((FIRST, SECOND, THIRD), manners, strict=True)}
    world.play(0.1)
    world.camera([0.02 * n for n in range(30)])
    world.play(1.2)
    counts = Counter(one.seq for one in world.outcomes)
    assert set(counts.values()) == {1}
    assert len(world.outcomes) == world.slot.offered - world.slot.dropped
    assert not [one for one in world.outcomes if one.late]
    assert world.loop.in_flight == 0
    assert not any(link.in_flight for link in world.links)
