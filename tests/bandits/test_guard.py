from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandits import POLICIES
from bandits.arms import ArmTable, next_action
from bandits.build import make_policy
from bandits.guard import GUARDRAIL, NEVER_EARLY, UNSURE, Guard, GuardedPlan, Limits
from bandits.policy import Action, Answer, Arm, Context, Costs, Observation, Plan, Ship
from bandits.replay import replay
from split_core.conformal import ConformalSets
from split_core.objective import Objective
from split_core.readings import Reading
from split_core.traces import Traces
from tests.bandits.frames import context, path_model, play, random_traces
from tests.contracts.test_policies import costs

EXITS = 4
PRICES = Costs.published(EXITS, per_layer=3.0, offload=9.0)
EVERYWHERE = context(PRICES)
ALONE = context(PRICES, cloud=False)


def readings_of(labels: list[int], confidences: list[float]) -> list[Reading]:
    """Two classes; the label has the confidence, the other one the rest."""
    found = []
    for exit, (label, confidence) in enumerate(zip(labels, confidences, strict=True), 1):
        probabilities = np.full(2, 1.0 - confidence)
        probabilities[label] = confidence
        found.append(Reading(exit, label, confidence, probabilities))
    return found


@dataclass
class OneArm:
    """Always the same arm; remembers what it was taught."""

    arm: Arm
    taught: list[Observation] = field(default_factory=list)

    def begin(self, given: Context) -> Plan:
        table = ArmTable("one", [self.arm], exits=EXITS)
        return table.plan(given, 0, heads="all") if table.allowed(given) else table.forced(given)

    def next(self, plan: Plan, readings: tuple[Reading, ...]) -> Action:
        return next_action(plan, readings)

    def learn(self, observation: Observation) -> None:
        self.taught.append(observation)

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing."""


def guard(arm: Arm, limits: Limits) -> tuple[Guard, OneArm]:
    inner = OneArm(arm)
    return Guard(inner, limits, exits=EXITS), inner


@st.composite
def reach(draw: st.DrawFn) -> Context:
    """Stops as a camera offers them: from 0 or 1 on, as deep as the deadline allows."""
    first, last = draw(st.integers(0, 1)), draw(st.integers(1, EXITS))
    return Context(tuple(range(first, last + 1)), draw(st.booleans()), math.inf, draw(costs(EXITS)))


@st.composite
def limits(draw: st.DrawFn) -> Limits:
    least = draw(st.floats(0.0, 1.0))
    return Limits(
        never_early=frozenset(draw(st.sets(st.integers(0, 1)))),
        never=draw(st.booleans()),
        deepest=draw(st.integers(0, EXITS)),
        sets=draw(st.sampled_from([None, ConformalSets([[0.2]] * EXITS)])),
        predicate=draw(st.sampled_from([None, lambda reading: reading.confidence >= least])),
    )


def forbids(kept: Limits, reading: Reading) -> bool:
    """The rule, said another way."""
    early = reading.exit < EXITS and (kept.never or reading.label in kept.never_early)
    return (
        early
        or (kept.sets is not None and not reading.confidence >= 0.8)
        or (kept.predicate is not None and not kept.predicate(reading))
    )


frames = st.tuples(
    st.lists(st.integers(0, 1), min_size=EXITS, max_size=EXITS),
    st.lists(st.floats(0.5, 1.0).filter(lambda p: not 0.799 < p < 0.801), min_size=EXITS, max_size=EXITS),
)


@pytest.mark.parametrize("name", list(POLICIES))
@settings(max_examples=60, deadline=None)
@given(kept=limits(), given_context=reach(), frame=frames)
def test_what_is_forbidden_is_never_answered_early_while_anything_else_can_be_done(
    name: str, kept: Limits, given_context: Context, frame: tuple[list[int], list[float]]
) -> None:
    inner = make_policy(name, exits=EXITS, rng=np.random.default_rng(0), objective=Objective(mu=0.01))
    subject = Guard(inner, kept, exits=EXITS)
    plan, readings, action = play(subject, given_context, readings_of(*frame))
    reached = readings[-1].exit if readings else 0
    assert reached <= (kept.deepest or EXITS)
    if isinstance(action, Ship):
        assert given_context.may_ship(reached)
        return
    assert isinstance(action, Answer)
    answer = next(one for one in readings if one.exit == action.exit)
    assert bool(subject.mark(plan, answer)) is forbids(kept, answer)
    if forbids(kept, answer):
        assert not given_context.may_ship(reached)
        assert reached == min(kept.deepest or EXITS, given_context.splits[-1])
        assert all(forbids(kept, one) for one in readings if one.exit >= answer.exit)


def test_without_limits_the_inner_policy_decides() -> None:
    assert not Limits()
    subject, _ = guard(Arm(2, 0.6), Limits())
    _, readings, action = play(subject, EVERYWHERE, readings_of([0] * 4, [0.5, 0.7, 0.8, 0.9]))
    assert (action, len(readings)) == (Answer(2), 2)


def test_a_class_that_never_exits_early_is_shipped() -> None:
    subject, inner = guard(Arm(2, 0.6), Limits(never_early=frozenset({1})))
    plan, readings, action = play(subject, EVERYWHERE, readings_of([1] * 4, [0.5, 0.7, 0.8, 0.9]))
    assert action == Ship(2)
    assert subject.mark(plan, readings[1]) == NEVER_EARLY
    verdict = Reading(4, 1, 0.9, np.array([0.1, 0.9]))
    assert subject.mark(plan, verdict) == ""
    subject.learn(Observation(plan, readings, action, verdict, 21.0))
    (told,) = inner.taught
    assert (told.action, told.verdict, told.cost) == (Ship(2), verdict, 21.0)
    assert [one.confidence for one in told.readings] == [-1.0, -1.0]
    assert told.plan.heads == (1, 2)


def test_without_a_cloud_it_runs_to_the_last_exit_and_teaches_nothing() -> None:
    subject, inner = guard(Arm(2, 0.0), Limits(never_early=frozenset({1})))
    plan, readings, action = play(subject, ALONE, readings_of([1] * 4, [0.5, 0.7, 0.8, 0.9]))
    assert [one.exit for one in readings] == [1, 2, 4]
    assert action == Answer(4)
    subject.learn(Observation(plan, readings, action, None, 15.0))
    assert inner.taught == []


def test_beyond_the_depth_that_is_allowed_frames_are_shipped_and_without_a_cloud_answered_within_it() -> None:
    subject, _ = guard(Arm(4, 0.0), Limits(deepest=2))
    unsure = readings_of([0] * 4, [0.9, 0.7, 0.8, 0.9])
    assert max(play(subject, EVERYWHERE, unsure)[0].heads) <= 2
    _, readings, action = play(subject, ALONE, unsure)
    assert ([one.exit for one in readings], action) == ([1, 2], Answer(2))


def test_where_nothing_deeper_is_left_an_allowed_answer_goes_before_a_surer_forbidden_one() -> None:
    subject, _ = guard(Arm(4, 0.0), Limits(never_early=frozenset({1}), deepest=2))
    plan, readings, action = play(subject, ALONE, readings_of([0, 1, 1, 1], [0.6, 0.9, 0.9, 0.9]))
    assert action == Answer(1)
    assert [subject.mark(plan, one) for one in readings] == ["", NEVER_EARLY]


def test_a_stream_that_never_exits_early_is_answered_by_the_last_exit() -> None:
    subject, _ = guard(Arm(1, 0.0), Limits(never=True))
    assert play(subject, EVERYWHERE, readings_of([0] * 4, [1.0] * 4))[2] == Ship(1)
    assert play(subject, ALONE, readings_of([0] * 4, [1.0] * 4))[2] == Answer(4)


def test_an_answer_that_is_unsure_to_the_end_is_marked() -> None:
    subject, _ = guard(Arm(1, 0.0), Limits(sets=ConformalSets([[0.2]] * EXITS)))
    plan, readings, action = play(subject, ALONE, readings_of([0] * 4, [0.7] * 4))
    assert action == Answer(4)
    assert subject.mark(plan, readings[-1]) == UNSURE


def test_what_nobody_may_answer_the_last_exit_answers_though_another_is_surer() -> None:
    subject, _ = guard(Arm(4, 0.0), Limits(predicate=lambda _: False))
    plan, readings, action = play(subject, ALONE, readings_of([0] * 4, [0.99, 0.9, 0.8, 0.6]))
    assert action == Answer(4)
    assert subject.mark(plan, readings[-1]) == GUARDRAIL


def test_the_predicate_is_asked_once_per_exit_and_only_about_answers() -> None:
    asked: list[int] = []

    def never(reading: Reading) -> bool:
        asked.append(reading.exit)
        return False

    subject, _ = guard(Arm(3, 0.6), Limits(predicate=never))
    plan, readings, action = play(subject, EVERYWHERE, readings_of([0] * 4, [0.9] * 4))
    assert (asked, action) == ([3], Ship(3))
    assert subject.mark(plan, readings[-1]) == GUARDRAIL
    assert asked == [3]


def test_what_the_caller_forbids_to_learn_stays_unlearned() -> None:
    subject, inner = guard(Arm(2, 0.6), Limits())
    plan, readings, action = play(subject, EVERYWHERE, readings_of([0] * 4, [0.9] * 4))
    assert isinstance(action, Answer)
    subject.learn(Observation(replace(plan, learns=False), readings, action, None, 1.0))
    assert [told.plan.learns for told in inner.taught] == [False]


class Told(Guard):
    """Tells the inner policy confidences as if nothing were forbidden."""

    def learn(self, observation: Observation) -> None:
        assert isinstance(observation.plan, GuardedPlan)
        assert observation.plan.inner is not None
        self.inner.learn(replace(observation, plan=observation.plan.inner))


def mean_reward(kind: type[Guard], kept: Limits, traces: Traces, name: str = "grid") -> float:
    model = path_model(EXITS)
    inner = make_policy(name, exits=EXITS, rng=np.random.default_rng(0), objective=model.objective)
    run = replay(kind(inner, kept, exits=EXITS), traces, model, np.random.default_rng(1))
    return float(run.reward[-1500:].mean())


def test_a_learner_finds_out_that_reading_early_exits_is_in_vain() -> None:
    traces, kept = random_traces(4000, EXITS, seed=1), Limits(never=True)
    best = max(mean_reward(Guard, kept, traces, name) for name in ("edge_only", "cloud_only", "offload_all"))
    assert mean_reward(Guard, kept, traces) >= best - 0.005
    assert mean_reward(Told, kept, traces) < best - 0.02


def test_a_learner_still_answers_early_what_is_allowed() -> None:
    traces, kept = random_traces(4000, EXITS, seed=1), Limits(never_early=frozenset({0, 1, 2}))
    assert mean_reward(Guard, kept, traces) >= mean_reward(Guard, kept, traces, "cloud_only") + 0.001


def test_a_plan_of_somebody_else_is_our_bug() -> None:
    subject, _ = guard(Arm(2, 0.6), Limits())
    with pytest.raises(TypeError, match="takes the plans"):
        subject.next(Plan(EVERYWHERE, (1,)), ())
