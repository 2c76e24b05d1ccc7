from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandits.policy import Context, Observation, Plan
from edge_runtime.frames.hedge import Hedge
from split_core import wire
from split_core.errors import BackendError
from tests.edge_runtime.world import Fate, World

SHIPS = {"policy": "fixed", "params": {"split": 1, "threshold": 1.0}, "ship_input": False}


class Told:
    """A policy that remembers what it was taught."""

    def __init__(self, policy: Any) -> None:
        self.policy, self.observations = policy, list[Observation]()

    def begin(self, context: Context) -> Plan:
        return replace(self.policy.begin(context), learns=True)

    def learn(self, observation: Observation) -> None:
        self.observations.append(observation)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.policy, name)


def slow(bundle: Path, delay_s: float, **more: Any) -> World:
    """A worker that has greeted the camera; from then on messages take so long, one way."""
    world = World(bundle, **{**SHIPS, "hedge": Hedge(), **more})
    world.play(0.05)
    world._fates = iter([Fate(delay_s)] * 1000)
    return world


def test_an_answer_that_is_late_is_found_here(tiny_bundle: Path) -> None:
    """Expected after 20 ms, it would take 70; the rest of the network takes 9 here."""
    world = slow(tiny_bundle, 0.035)
    world.camera([0.0])
    world.play(0.09)
    (outcome,) = world.outcomes
    assert (outcome.where, outcome.exit, outcome.degraded) == ("edge", 3, "")
    assert 25.0 < outcome.latency_ms < 45.0
    assert world.hedge.won == {"here": 1}
    assert world.loop.in_flight == 0


def test_without_it_the_camera_waits(tiny_bundle: Path) -> None:
    world = slow(tiny_bundle, 0.035, hedge=None)
    world.camera([0.0])
    world.play(0.09)
    (outcome,) = world.outcomes
    assert (outcome.where, outcome.latency_ms > 70.0) == ("cloud", True)


def test_an_answer_in_time_costs_the_device_nothing(tiny_bundle: Path) -> None:
    world = slow(tiny_bundle, 0.005)
    world.camera([0.1 * n for n in range(5)])
    world.play(1.0)
    assert [outcome.where for outcome in world.outcomes] == ["cloud"] * 5
    assert all(record.device_ms == pytest.approx(4.5) for record in world.records)
    assert not world.hedge.won


def test_the_late_answer_is_no_second_outcome_and_still_tells_what_the_link_takes(tiny_bundle: Path) -> None:
    world = slow(tiny_bundle, 0.035)
    before = world.costs.way.ms(300)
    world.camera([0.0, 0.2])
    world.play(0.5)
    assert [outcome.seq for outcome in world.outcomes] == [0, 1]
    assert world.costs.way.ms(300) > before + 20.0
    assert not world.breaker.is_open


def test_a_worker_that_falls_silent_is_still_found_out(tiny_bundle: Path) -> None:
    world = slow(tiny_bundle, 0.005)
    world.answer = lambda message: None
    world.camera([0.12 * n for n in range(4)])
    world.play(0.6)
    assert [outcome.degraded for outcome in world.outcomes] == [""] * 4
    assert {outcome.exit for outcome in world.outcomes} == {3}
    assert world.breaker.is_open


def test_the_policy_is_taught_what_the_full_network_says_and_what_it_cost(tiny_bundle: Path) -> None:
    world = slow(tiny_bundle, 0.035)
    told = Told(world.made)
    world.stream.rules = replace(world.stream.rules, policy=told)
    world.camera([0.0])
    world.play(0.5)
    (observation,) = told.observations
    assert observation.verdict is not None
    assert (observation.verdict.exit, [reading.exit for reading in observation.readings]) == (3, [1])
    assert observation.cost == pytest.approx(world.outcomes[0].latency_ms)
    assert world.records[0].payload_bytes > 0


def test_frames_that_wait_come_before_late_ones(tiny_bundle: Path) -> None:
    world = slow(tiny_bundle, 0.035)
    world.camera([0.0, 0.024, 0.028, 0.032])
    world.play(0.4)
    assert sorted(outcome.seq for outcome in world.outcomes) == list(range(world.slot.offered - world.slot.dropped))
    assert not any(outcome.late for outcome in world.outcomes)


def test_when_time_is_up_the_deepest_reading_counts_too(tiny_bundle: Path) -> None:
    """No time is left for the whole network, only for one segment more."""
    world = slow(tiny_bundle, 0.2)
    late = world.loop._hedge
    assert late is not None
    world.camera([0.0])
    world.play(0.01)
    (shipped,) = late._shipped
    shipped.ticket.run.deepen()  # type: ignore[union-attr]
    world.clock.now = shipped.ticket.deadline_at_s - 0.021
    world.play(0.1)
    (outcome,) = world.outcomes
    assert (outcome.degraded, outcome.late) == ("timeout", False)
    assert world.records[0].exits == (1, 2)


def test_a_frame_that_an_engine_fails_on_waits_for_its_answer(tiny_bundle: Path) -> None:
    world = slow(tiny_bundle, 0.035)

    class Broken:
        def run(self, feeds: Any) -> Any:
            raise BackendError("out of memory")

    world.deployment.prefix.segments[1] = Broken()
    world.camera([0.0])
    world.play(0.5)
    (outcome,) = world.outcomes
    assert (outcome.where, outcome.degraded) == ("cloud", "")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0.001, 0.2), st.integers(0, 2)), min_size=1, max_size=40), st.integers(0, 9))
def test_whatever_the_link_does_each_frame_has_one_outcome_in_time(
    tiny_bundle: Path, fates: list[tuple[float, int]], seed: int
) -> None:
    world = World(tiny_bundle, policy="random", seed=seed, hedge=Hedge(), cameras=2)
    world.play(0.05)
    world._fates = iter([Fate(delay, copies) for delay, copies in fates])
    world.camera([0.03 * n for n in range(30)])
    for n in range(20):
        pixels = np.full((8, 8, 1), n, np.uint8)
        world.clock.at(world.clock.now + 0.041 * n, lambda n=n, p=pixels: put(world, n, p))
    world.play(2.0)
    taken = {stream.camera: stream.slot.offered - stream.slot.dropped for stream in world.streams}
    seen = [(outcome.camera, outcome.seq) for outcome in world.outcomes]
    assert len(seen) == len(set(seen)) == sum(taken.values())
    assert not any(outcome.late for outcome in world.outcomes)
    assert world.loop.in_flight == world.loop._blind == 0
    assert world.hedge.next_at() is None  # type: ignore[union-attr]


def put(world: World, seq: int, pixels: np.ndarray) -> None:
    from edge_runtime.sources.base import Frame

    world.streams[1].slot.put(Frame(seq, world.clock.now, pixels))


def test_a_greeting_alone_is_nothing_to_hedge(tiny_bundle: Path) -> None:
    world = World(tiny_bundle, **SHIPS, hedge=Hedge())
    world.answer = lambda message: world.default_answer(message) if isinstance(message, wire.Hello) else None
    world.play(0.2)
    assert world.hedge.next_at() is None  # type: ignore[union-attr]
