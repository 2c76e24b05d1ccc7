from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bandits.policy import Action, Answer, Context, Observation, Plan, Ship
from split_core import wire
from split_core.errors import ArtefactError
from split_core.readings import Reading
from split_core.telemetry.audit import AuditRecord
from split_core.telemetry.metrics import EdgeMetrics, exposition
from tests.edge_runtime.world import AUDIT_PATIENCE_S, MARGIN_S, Fate, World

# Answers every frame at exit 1.
EARLY = {"policy": "fixed", "params": {"split": 1, "threshold": 0.0}}


@dataclass
class Listening:
    """A policy that remembers what it is told."""

    inner: Any
    told: list[Observation]

    def begin(self, context: Context) -> Plan:
        return replace(self.inner.begin(context), learns=True)

    def next(self, plan: Plan, readings: tuple[Reading, ...]) -> Action:
        return self.inner.next(plan, readings)

    def learn(self, observation: Observation) -> None:
        self.told.append(observation)


class ShipsFirst(Listening):
    """Ships the first frame, from exit 1."""

    def next(self, plan: Plan, readings: tuple[Reading, ...]) -> Action:
        action = super().next(plan, readings)
        ships = isinstance(action, Answer) and not hasattr(self, "shipped")
        if ships:
            self.shipped = True
        return Ship(plan.context.costs.payload[1]) if ships else action


def listening(bundle: Path, **given: Any) -> tuple[World, list[Observation]]:
    """A world whose worker has said hello, and what its policy is told."""
    world = World(bundle, **{**EARLY, **given})
    told: list[Observation] = []
    world.stream.rules = replace(world.stream.rules, policy=Listening(world.made, told))
    world.play(0.05)
    return world, told


def every(gap_s: float, frames: int) -> list[float]:
    return [gap_s * place for place in range(frames)]


def test_every_answer_of_the_device_is_checked_when_the_share_is_one(tiny_bundle: Path):
    world, told = listening(tiny_bundle, audit=1.0)
    world.camera(every(0.03, 10))
    world.play(0.5)
    assert [(o.where, o.exit) for o in world.outcomes] == [("edge", 1)] * 10
    assert [record.seq for record in world.audits] == list(range(10))
    assert {record.verdict_label for record in world.audits} == {3}
    assert [o.verdict.label for o in told if o.verdict] == [3] * 10
    assert {(type(o.action), o.audited) for o in told} == {(Answer, 1.0)}
    tally = world.auditor.tally
    assert tally.agree == sum(outcome.label == 3 for outcome in world.outcomes)
    assert tally.agree + tally.differ == tally.drawn == 10
    assert tally.payload_bytes == sum(record.payload_bytes for record in world.audits) > 0


def test_outcomes_come_when_they_would_have_come_without_audits(tiny_bundle: Path):
    plain, audited = (listening(tiny_bundle, audit=share)[0] for share in (0.0, 1.0))
    for world in (plain, audited):
        world.camera(every(0.03, 20))
        world.play(0.8)
    assert [o.latency_ms for o in audited.outcomes] == [o.latency_ms for o in plain.outcomes]
    assert audited.auditor.tally.agree + audited.auditor.tally.differ == 20
    assert all(record.payload_bytes == 0 and record.shipped == -1 for record in audited.records)


def test_about_the_share_is_drawn_whatever_was_answered_and_the_same_with_the_same_seed(tiny_bundle: Path):
    drawn = []
    for _ in range(2):
        world, told = listening(tiny_bundle, audit=0.2)
        world.camera(every(0.01, 400))
        world.play(5.0)
        drawn.append([record.seq for record in world.audits])
        assert len(told) == 400  # each frame is told once, audited or not
        assert {o.audited for o in told} == {0.0, 0.2}
    assert drawn[0] == drawn[1]
    assert 55 <= len(drawn[0]) <= 105


def test_nothing_is_audited_while_frames_are_in_flight(tiny_bundle: Path):
    world, told = listening(tiny_bundle, audit=1.0)
    world.stream.rules = replace(world.stream.rules, policy=ShipsFirst(world.made, told))
    world._fates = iter([Fate(0.03), Fate(0.03)])  # the frame that is shipped: 60 ms there and back
    world.camera([0.0, 0.02])
    world.play(0.05)
    assert (world.loop.in_flight, world.auditor.tally.drawn, len(world.outcomes)) == (1, 1, 1)
    assert world.auditor.tally.payload_bytes == 0
    world.play(0.3)
    assert [record.seq for record in world.audits] == [1]
    assert [(type(o.action), o.audited) for o in told] == [(Ship, 0.0), (Answer, 1.0)]


def test_an_open_breaker_audits_nothing(tiny_bundle: Path):
    world = World(tiny_bundle, **EARLY, audit=1.0)
    world.listener.close()
    world.camera(every(0.03, 5))
    world.play(0.3)
    assert len(world.outcomes) == 5
    assert world.auditor.tally.drawn == 0  # nothing may be shipped, so nothing is even drawn


@pytest.mark.parametrize("answer", ["silence", "failed"])
def test_lost_audits_open_no_breaker_and_frames_are_told_without_a_verdict(tiny_bundle: Path, answer: str):
    world, told = listening(tiny_bundle, audit=1.0)

    def worker(message: wire.Message) -> list[bytes | memoryview] | None:
        if isinstance(message, wire.Hello):
            return world.default_answer(message)
        failed = wire.encode(wire.Refusal(message.request_id, "failed", "as scripted", 0.0))
        return failed if answer == "failed" else None

    world.answer = worker
    world.camera(every(AUDIT_PATIENCE_S + 0.1, 4))
    for _ in range(30):  # a camera's loop never sleeps for longer than this
        world.play(0.1)
    assert not world.breaker.is_open
    assert world.auditor.tally.lost == 4
    assert [o.verdict for o in told] == [None] * 4


def test_a_late_audit_is_taken_all_the_same_and_says_nothing_about_the_breaker(tiny_bundle: Path):
    world, told = listening(tiny_bundle, audit=1.0)
    world._fates = iter([Fate(0.15), Fate(0.15)])  # 300 ms there and back: three deadlines
    world.camera([0.0])
    world.play(0.5)
    (observation,) = told
    assert observation.verdict is not None
    assert world.audits[0].link_ms > 250.0
    assert world.costs.link.ms(300) > 50.0  # nothing else was sent, and the link is known now


def test_what_the_whole_network_answered_is_not_audited(tiny_bundle: Path):
    world, _ = listening(tiny_bundle, policy="edge_only", params={}, audit=1.0)
    world.camera(every(0.03, 5))
    world.play(0.3)
    assert world.auditor.tally.drawn == 0


def test_pixels_that_may_not_leave_the_device_do_not_leave_it_for_audits(tiny_bundle: Path):
    world, _ = listening(tiny_bundle, audit=1.0, ship_input=False)
    world.camera(every(0.03, 10))
    world.play(0.5)
    assert len(world.audits) == 10
    assert 0 not in {record.shipped for record in world.audits}


def test_a_second_frame_that_is_drawn_while_one_waits_is_left_out_and_told_at_once(tiny_bundle: Path):
    world, told = listening(tiny_bundle, audit=1.0)
    # Frames come faster than the device computes: there is no idle moment until the last one is done.
    world.camera([0.0, 0.002, 0.0045, 0.007])
    world.play(0.02)
    assert world.auditor.tally.skipped >= 1
    assert len(told) == world.auditor.tally.skipped
    world.play(1.0)
    assert len(told) == len(world.outcomes)
    assert all(outcome.latency_ms < 1e3 * MARGIN_S for outcome in world.outcomes)


def test_a_record_can_be_read_back_and_a_strange_one_is_refused(tiny_bundle: Path):
    world, _ = listening(tiny_bundle, audit=1.0)
    world.camera([0.0])
    world.play(0.2)
    written = asdict(world.audits[0])
    assert AuditRecord.from_json(written) == world.audits[0]
    with pytest.raises(ArtefactError, match="another version"):
        AuditRecord.from_json({**written, "new": 1})


def test_audits_are_counted_for_prometheus_apart_from_frames(tiny_bundle: Path):
    world, _ = listening(tiny_bundle, audit=1.0)
    world.camera(every(0.03, 3))
    world.play(0.3)
    metrics = EdgeMetrics()
    metrics.watch_audits(lambda: world.auditor.tally)
    text = exposition(metrics.registry).decode()
    tally = world.auditor.tally
    assert f'offramp_audits_total{{result="agree"}} {float(tally.agree)}' in text
    assert f'offramp_audits_total{{result="differ"}} {float(tally.differ)}' in text
    assert f"offramp_audit_bytes_total {float(tally.payload_bytes)}" in text
    assert "offramp_offload_bytes_total 0.0" in text
