from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bandits.build import make_policy
from bandits.change import BLOCK
from bandits.envelope import CERTIFIED, FALLEN, RISK, SHRUNK, Checked, Crossing, Envelope, Pledge, raised
from bandits.guard import Limits
from bandits.policy import Answer, Costs, Observation, Ship
from split_core.errors import PolicyFileError
from split_core.objective import Objective
from split_core.readings import Reading
from tests.bandits.frames import context, observed, play, readings_of

EXITS, SHARE = 3, 0.1
PLEDGE = Pledge(target=0.95, false_alarm=0.05, share=SHARE, floors=(0.6, 0.5))
# Shipping is dear: only floors keep exit 1 from answering everything.
DEAR = context(Costs.published(EXITS, per_layer=1.0, offload=60.0))
RIGHT, WRONG = 0, 1


def policy(name: str, **params: Any) -> Any:
    return make_policy(name, exits=EXITS, rng=np.random.default_rng(0), objective=Objective(mu=0.01), params=params)


def envelope(name: str = "fixed", *, fallback: Any = None, pledge: Pledge = PLEDGE, **params: Any) -> Envelope:
    given = params or ({"split": 1, "threshold": 0.0} if name == "fixed" else {})
    return Envelope(policy(name, **given), Limits(), exits=EXITS, pledge=pledge, fallback=fallback)


def audited(subject: Envelope, confidence: float, *, agrees: bool, exit: int = 1) -> Observation:
    """A frame answered at exit 1 and checked."""
    seen = observed(subject, DEAR, readings_of([confidence] * EXITS, RIGHT))
    verdict = Reading(EXITS, RIGHT if agrees else WRONG, 0.99)
    return replace(seen, verdict=verdict, audited=SHARE)


def crossings(subject: Envelope, frames: list[tuple[float, bool]]) -> list[Crossing]:
    """What was called broken while these frames, of a confidence, agreed or not."""
    found = []
    for confidence, agrees in frames:
        seen = audited(subject, confidence, agrees=agrees)
        if isinstance(seen.action, Answer):
            subject.learn(seen)
        crossing = subject.crossing()
        found += [crossing] if crossing else []
    return found


def test_what_is_not_certified_does_not_answer_whatever_the_learner_thinks() -> None:
    subject = envelope()
    for confidence, answers in ((0.59, False), (0.6, True)):
        _, readings, action = play(subject, DEAR, readings_of([confidence, 0.9, 0.9]))
        assert isinstance(action, Answer) == answers
        assert subject.mark(subject.begin(DEAR), readings[0]) == ("" if answers else "uncertified")
    assert isinstance(play(subject, DEAR, readings_of([0.59, 0.9, 0.9]))[2], Ship)


def test_an_exit_that_nothing_certifies_never_answers() -> None:
    subject = envelope(pledge=replace(PLEDGE, floors=(math.inf, 0.5)))
    assert isinstance(play(subject, DEAR, readings_of([1.0, 1.0, 1.0]))[2], Ship)


def test_a_grid_within_an_envelope_learns_that_uncertified_answers_are_shipped() -> None:
    """Its arms below the floor pay what arms at the floor do, so it loses nothing to those that knew."""
    rng, free, bound = np.random.default_rng(0), policy("grid", thresholds=[0.3, 0.6, 0.9]), envelope("grid")
    given = context(Costs.published(EXITS, per_layer=1.0, offload=5.0))
    for confidences in rng.random((400, EXITS)).tolist():
        for subject in (free, bound):
            subject.learn(observed(subject, given, readings_of(confidences)))
    below = [o for c in rng.random((200, EXITS)).tolist() for o in [observed(bound, given, readings_of(c))]]
    early = [o for o in below if isinstance(o.action, Answer) and o.action.exit < EXITS]
    assert early
    assert all(o.readings[-1].confidence >= PLEDGE.floors[o.readings[-1].exit - 1] for o in early)


def test_audits_that_agree_raise_nothing_and_bound_the_agreement() -> None:
    subject = envelope()
    assert crossings(subject, [(0.8, True)] * 400) == []
    lower, upper = subject.agreement()
    assert subject.stage == CERTIFIED
    assert PLEDGE.target < lower < upper == 1.0


def test_before_the_first_audit_nothing_is_broken_although_the_lower_bound_is_below_the_target() -> None:
    subject = envelope()
    assert subject.agreement() == (0.0, 1.0)
    assert subject.crossing() is None


def test_what_fails_below_a_confidence_shrinks_the_envelope_to_above_it() -> None:
    subject = envelope()
    rng = np.random.default_rng(0)
    (crossing,) = crossings(subject, [(c, c > 0.7 or rng.random() < 0.6) for c in rng.uniform(0.6, 1.0, 600).tolist()])
    assert (crossing.stage, subject.stage) == (SHRUNK, SHRUNK)
    assert 0.65 < subject.floors[0] < 0.8
    assert subject.floors[1] == math.inf  # nothing was seen of exit 2, and its certificate is as old
    assert crossing.value >= crossing.limit
    assert crossing.agreement < PLEDGE.target
    assert isinstance(play(subject, DEAR, readings_of([0.62, 0.9, 0.9]))[2], Ship)


def test_what_fails_everywhere_leaves_the_answers_to_the_full_network() -> None:
    subject = envelope()
    first, *rest = crossings(subject, [(0.9, n % 3 > 0) for n in range(400)])
    assert first.stage == SHRUNK
    assert subject.floors[0] == math.inf
    assert rest == []  # exit 1 answers nothing any more, so nothing is audited
    assert isinstance(play(subject, DEAR, readings_of([1.0, 0.9, 0.9]))[2], Ship)


def fallen(fallback: Any = None) -> tuple[Envelope, list[Crossing]]:
    """The surest answers agree until the envelope has shrunk to them, and then no more."""
    subject, rng = envelope(fallback=fallback), np.random.default_rng(1)
    before = [(c, c > 0.7 or rng.random() < 0.6) for c in rng.uniform(0.6, 1.0, 600).tolist()]
    found = crossings(subject, before)
    return subject, found + crossings(subject, [(c, False) for c in rng.uniform(0.9, 1.0, 100).tolist()])


def test_a_promise_that_is_broken_again_hands_over_to_the_full_network() -> None:
    subject, found = fallen()
    assert [crossing.stage for crossing in found] == [SHRUNK, FALLEN]
    assert subject.floors == (math.inf, math.inf)
    assert found[1].proposed[0] == math.inf
    assert isinstance(play(subject, DEAR, readings_of([1.0, 1.0, 1.0]))[2], Ship)
    offline = replace(DEAR, cloud=False)
    assert play(subject, offline, readings_of([1.0, 1.0, 1.0]))[2] == Answer(EXITS)


def test_a_fallback_that_was_given_takes_over_and_is_not_bound_by_floors() -> None:
    subject, found = fallen(policy("cascade", per_exit=[0.99, 0.99]))
    assert found[1].stage == FALLEN
    assert [play(subject, DEAR, readings_of([c, c, c]))[2] for c in (0.98, 0.995)] == [Answer(3), Answer(1)]
    assert crossings(subject, [(1.0, False)] * 200) == []  # there is nothing left to fall back on


def test_the_learner_learns_from_audits_once_and_a_plan_that_teaches_nothing_is_still_counted() -> None:
    subject, plain = envelope("grid"), policy("grid")
    seen = audited(subject, 0.9, agrees=True)
    subject.learn(seen)
    assert seen.plan.inner is not None  # type: ignore[attr-defined]
    plain.learn(replace(seen, plan=seen.plan.inner))  # type: ignore[attr-defined]
    assert subject.state()["learner"]["strata"] == plain.state()["strata"]
    if isinstance(seen.action, Answer):
        before = subject.state()
        subject.learn(replace(seen, plan=replace(seen.plan, learns=False)))
        after = subject.state()
        assert after["learner"] == before["learner"]
        assert len(after["envelope"]["audits"]) == len(before["envelope"]["audits"]) + 1


def test_frames_drawn_more_often_than_pledged_weigh_less() -> None:
    subject = envelope()
    seen = audited(subject, 0.9, agrees=True)
    subject.learn(replace(seen, audited=1.0))
    assert subject.state()["envelope"]["disagreement"]["count"] == pytest.approx(SHARE)


def test_a_kept_promise_is_called_broken_in_fewer_streams_than_stated() -> None:
    rng, alarms = np.random.default_rng(9), 0
    for _ in range(60):
        subject = envelope(pledge=replace(PLEDGE, floors=(0.0, 0.0)))
        for differs in rng.random(1500) < 1 - PLEDGE.target:
            subject._take(Checked(1, 0.9, bool(differs)), 1.0)
        alarms += subject.stage != CERTIFIED
    assert alarms <= 60 * PLEDGE.false_alarm


def test_a_restored_envelope_is_in_its_stage_and_goes_on_bit_identically() -> None:
    for subject, fallback in (
        (fallen()[0], None),
        (fallen(policy("cascade"))[0], policy("cascade")),
        (envelope(), None),
    ):
        other = envelope(fallback=fallback)
        other.restore(json.loads(json.dumps(subject.state())))
        assert (other.stage, other.floors, other.state()) == (subject.stage, subject.floors, subject.state())
        rest = [(0.95, n % 7 > 0) for n in range(5 * BLOCK)]
        assert crossings(other, rest) == crossings(subject, rest)
        assert other.state() == subject.state()


@pytest.mark.parametrize(
    "damage",
    [
        {"stage": "junk"},
        {"floors": [0.5]},
        {"floors": "junk"},
        {"audits": [[9, 0.5, 0]]},
        {"audits": [[1, 0.5]]},
        {"audits": None},
        {"broken": None},
        {"disagreement": {"count": 1.0, "total": 2.0}},
    ],
)
def test_a_damaged_state_is_refused_whole(damage: dict[str, Any]) -> None:
    subject, fresh = envelope("grid"), envelope("grid")
    subject.learn(audited(subject, 0.9, agrees=True))
    state = subject.state()
    state["envelope"] = {**state["envelope"], **damage}
    before = fresh.state()
    with pytest.raises(PolicyFileError):
        fresh.restore(state)
    assert fresh.state() == before


def test_the_state_of_a_policy_without_an_envelope_is_refused() -> None:
    with pytest.raises(PolicyFileError, match="envelope"):
        envelope("grid").restore(policy("grid").state())


def checks(exit: int, rows: list[tuple[float, bool]]) -> list[Checked]:
    return [Checked(exit, confidence, differs) for confidence, differs in rows]


def test_floors_rise_to_the_lowest_confidence_that_audits_carry() -> None:
    good = [(0.9 + n / 10_000, False) for n in range(100)]
    bad = [(0.7, True), (0.72, False), (0.74, True)]
    # 102 with one disagreement carry .95 (2.55 nats), 103 with two do not (1.3).
    assert raised((0.6, 0.5), checks(1, bad + good), 0.95) == (0.72, math.inf)
    assert raised((0.6, 0.5), checks(1, good) + checks(2, good), 0.95) == (0.6, 0.5)  # neither is to blame
    assert raised((0.6, 0.5), checks(1, good) + checks(2, bad), 0.95) == (0.6, math.inf)


@pytest.mark.parametrize(("target", "fewest"), [(0.9, 22), (0.98, 114)])
def test_few_audits_carry_no_floor(target: float, fewest: int) -> None:
    for count, floor in ((fewest, 0.6), (fewest - 1, math.inf)):
        assert raised((0.6,), checks(1, [(0.9, False)] * count), target) == (floor,)


def test_equals_are_not_parted_by_a_floor() -> None:
    assert raised((0.6,), checks(1, [(0.9, False)] * 60 + [(0.9, True)] * 20), 0.9) == (math.inf,)


def test_a_floor_that_audits_carry_agrees_as_asked_but_for_the_stated_risk() -> None:
    rng, broken = np.random.default_rng(3), 0
    for _ in range(300):
        # Right above .8, a half of the answers is wrong below.
        confidence = rng.uniform(0.6, 1.0, 400)
        differs = rng.random(400) < np.where(confidence > 0.8, 0.05, 0.5)
        audits = [Checked(1, c, bool(d)) for c, d in zip(confidence.tolist(), differs.tolist(), strict=True)]
        (floor,) = raised((0.6,), audits, 0.9)
        disagree = 0.05 if floor > 0.8 else 0.05 + 0.45 * (0.8 - floor) / (1.0 - floor)
        broken += disagree > 0.1 and floor < 1.0
    assert broken <= 300 * RISK
