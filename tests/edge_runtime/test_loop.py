from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from split_core import wire
from split_core.criteria.build import make_criterion
from split_core.errors import ConfigError
from tests.edge_runtime.world import DEADLINE_S, Fate, World

ALWAYS_SHIP = {"policy": "fixed", "params": {"split": 1, "threshold": 1.0}}

fates = st.builds(
    Fate, delay_s=st.sampled_from([0.0, 0.001, 0.01, 0.05, 0.2, 1.0]), copies=st.sampled_from([0, 1, 1, 1, 2, 3])
)
manners = st.sampled_from(
    ["answer", "answer", "answer", "busy", "failed", "expired", "mismatch", "garbage", "silence", "nan"]
)


def manner_of(world: World, manner: str, message: wire.Message) -> list[bytes | memoryview] | None:
    """What a worker of this manner says."""
    if isinstance(message, wire.Hello) or manner == "answer":
        return world.default_answer(message)
    if manner == "garbage":
        return [b"\xff\x00garbage"]
    if manner == "nan":
        return wire.encode(wire.Verdict(message.request_id, world.exits, b"\x00\x00\xc0\x7f" * 4, 0.0, 0.0))
    if manner == "silence":
        return None
    return wire.encode(wire.Refusal(message.request_id, manner, "as scripted", 20.0))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    policy=st.sampled_from(["random", "grid", "splitee", "splitee_s", "ucbee", "cloud_only", "edge_only"]),
    gaps_ms=st.lists(st.sampled_from([1.0, 10.0, 17.0, 25.0, 60.0]), min_size=1, max_size=25),
    script=st.lists(fates, max_size=60),
    manners=st.lists(manners, max_size=20),
    outage=st.none() | st.tuples(st.floats(0.0, 0.3), st.floats(0.01, 0.3)),
    ship_input=st.booleans(),
    seed=st.integers(0, 5),
    audit=st.sampled_from([0.0, 0.3, 1.0]),
)
@example(  # three refusals at once took the time that a fourth frame, overdue by then, had left
    policy="cloud_only",
    gaps_ms=[60.0, 60.0, 60.0, 25.0, 1.0, 60.0, 1.0, 1.0],
    script=[],
    manners=["answer", "answer", "answer", "garbage", "busy", "busy", "busy"],
    outage=(0.0, 0.1875),
    ship_input=False,
    seed=0,
    audit=0.0,
)
def test_every_frame_gets_exactly_one_outcome_by_its_deadline(
    tiny_bundle: Path, policy, gaps_ms, script, manners, outage, ship_input, seed, audit
):
    may_ship = ship_input or policy == "cloud_only"
    world = World(tiny_bundle, policy=policy, fates=script, ship_input=may_ship, seed=seed, audit=audit)
    turns = iter(manners)
    world.answer = lambda message: manner_of(world, next(turns, "answer"), message)
    world.play(0.05)
    moments, at = [], 0.0
    for gap in gaps_ms:
        at += gap / 1e3
        moments.append(at)
    world.camera(moments)
    if outage:
        world.restart_worker(outage[0], outage[0] + outage[1])
    world.play(at + 3 * DEADLINE_S)
    counts = Counter(outcome.seq for outcome in world.outcomes)
    assert set(counts.values()) <= {1}
    assert len(world.outcomes) == world.slot.offered - world.slot.dropped
    assert not [outcome for outcome in world.outcomes if outcome.late]
    assert all(0 <= outcome.label < 4 for outcome in world.outcomes)
    assert len(world.ledger) == 0
    assert world.loop.in_flight == 0
    tally = world.auditor.tally
    assert 0 <= tally.drawn - (tally.agree + tally.differ + tally.skipped + tally.lost) <= 2  # one waits, one is away


def test_a_healthy_worker_answers_what_the_device_ships(tiny_bundle: Path):
    world = World(tiny_bundle, **ALWAYS_SHIP)
    world.play(0.05)
    world.camera([0.0, 0.03])
    world.play(0.3)
    assert [(o.where, o.label, o.exit, o.degraded) for o in world.outcomes] == [("cloud", 3, 3, "")] * 2


def test_a_silent_worker_costs_two_frames_and_then_the_device_answers_alone(tiny_bundle: Path):
    world = World(tiny_bundle, **ALWAYS_SHIP)
    world.play(0.05)
    world.answer = lambda message: None
    world.camera([0.12 * i for i in range(5)])
    world.play(1.0)
    assert [o.degraded for o in world.outcomes] == ["timeout", "timeout", "", "", ""]
    assert [o.exit for o in world.outcomes] == [1, 1, 3, 3, 3]
    assert world.changes[1:] == ["lost: no answer in time", "does not answer"]


def test_the_cloud_is_used_again_as_soon_as_a_probe_is_answered(tiny_bundle: Path):
    world = World(tiny_bundle, **ALWAYS_SHIP)
    world.play(0.05)
    world.restart_worker(0.0, 0.5)
    world.camera([0.05 * i for i in range(16)])
    world.play(1.2)
    first_back = next(o for o in world.outcomes if o.where == "cloud")
    assert world.frames[first_back.seq] - world.frames[0] < 0.65
    assert {o.where for o in world.outcomes if o.seq > first_back.seq} == {"cloud"}


def test_nobody_to_send_to_is_known_at_once_and_the_full_model_answers(tiny_bundle: Path):
    world = World(tiny_bundle, **ALWAYS_SHIP)
    world.play(0.05)
    world.listener.close()
    world.camera([0.0])
    world.play(0.2)
    (outcome,) = world.outcomes
    assert (outcome.exit, outcome.degraded) == (3, "")
    assert outcome.latency_ms == pytest.approx(3 * 4.0 + 0.5 + 0.2, abs=0.5)


def test_a_busy_worker_is_left_alone_for_as_long_as_it_asked(tiny_bundle: Path):
    world = World(tiny_bundle, **ALWAYS_SHIP)
    world.play(0.05)
    asked = []

    def busy_once(message: wire.Message):
        if isinstance(message, wire.Offload):
            asked.append(world.clock.now)
            if len(asked) == 1:
                return wire.encode(wire.Refusal(message.request_id, "busy", "full", 200.0))
        return world.default_answer(message)

    world.answer = busy_once
    world.camera([0.05 * i for i in range(8)])
    world.play(0.8)
    assert asked[1] - asked[0] >= 0.2
    assert not world.breaker.is_open


def test_a_late_verdict_changes_nothing(tiny_bundle: Path):
    world = World(tiny_bundle, **ALWAYS_SHIP)
    world.play(0.05)
    world.answer = lambda m: world.default_answer(m)
    world.camera([0.0])
    world._fates = iter([Fate(0.2)])
    world.play(0.6)
    assert [(o.where, o.degraded) for o in world.outcomes] == [("edge", "timeout")]


def test_a_refused_handshake_is_said_in_one_line_and_the_camera_goes_on(tiny_bundle: Path):
    world = World(tiny_bundle, **ALWAYS_SHIP)
    world.answer = lambda m: wire.encode(wire.Refusal(m.request_id, "mismatch", "worker has bundle abc", 0.0))
    world.play(0.05)
    world.camera([0.0, 0.05])
    world.play(0.4)
    assert world.changes == ["the worker refuses this device: worker has bundle abc"]
    assert [(o.where, o.exit) for o in world.outcomes] == [("edge", 3)] * 2


def test_a_welcome_of_another_bundle_does_not_close_the_breaker(tiny_bundle: Path):
    world = World(tiny_bundle, **ALWAYS_SHIP)
    world.answer = lambda m: wire.encode(wire.Welcome(m.request_id, "worker", "f" * 64, 0))
    world.play(0.3)
    assert world.breaker.is_open


def test_nothing_but_hidden_states_leaves_the_device_when_the_input_may_not(tiny_bundle: Path):
    world = World(tiny_bundle, policy="random", ship_input=False)
    cuts = []

    def watch(message: wire.Message):
        if isinstance(message, wire.Offload):
            cuts.append(message.cut)
        return world.default_answer(message)

    world.answer = watch
    world.play(0.05)
    world.camera([0.03 * i for i in range(60)])
    world.play(2.2)
    assert cuts
    assert 0 not in cuts


def test_a_frame_that_is_no_image_gets_an_outcome_too(tiny_bundle: Path):
    from edge_runtime.sources.base import Frame

    world = World(tiny_bundle, **ALWAYS_SHIP)
    world.slot.put(Frame(0, world.clock.now, np.zeros((8, 8, 2), np.uint8)))
    world.play(0.05)
    (outcome,) = world.outcomes
    assert (outcome.label, outcome.name, outcome.degraded) == (-1, "unknown", "bad_frame")


def test_a_frame_that_comes_too_late_for_the_whole_model_is_answered_at_a_shallower_exit(tiny_bundle: Path):
    from edge_runtime.sources.base import Frame

    world = World(tiny_bundle, policy="edge_only")
    pixels = np.zeros((8, 8, 1), np.uint8)
    world.slot.put(Frame(0, world.clock.now - DEADLINE_S + 0.02 + 0.0095, pixels))  # 9.5 ms: two segments, two exits
    world.play(0.05)
    (outcome,) = world.outcomes
    assert outcome.exit == 2
    assert not outcome.late


def test_hidden_states_that_a_criterion_was_not_trained_for_are_refused_before_the_first_frame(tiny_bundle: Path):
    arrays = {"weight": np.zeros(4), "bias": np.zeros(())}
    world = World(tiny_bundle, policy="edge_only", criterion=make_criterion("learned", exits=3, arrays=arrays))
    world.deployment.probe.compute()
    with pytest.raises(ConfigError, match="hidden state of exit 2 is 6 wide, the arrays are for 4"):
        world.deployment.probe.check(world.stream.rules.reader)
