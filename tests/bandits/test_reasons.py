from __future__ import annotations

import json
import math

import numpy as np
import pytest

from bandits import POLICIES
from bandits.build import make_policy
from bandits.guard import Guard, Limits
from bandits.policy import Answer, Costs, Deeper, Plan, Policy, Ship
from bandits.reasons import compared, reason_for
from bandits.sequential.policy import SequentialPlan
from split_core.objective import Objective
from tests.bandits.frames import context, observed, play, random_traces, readings_of
from tests.bandits.readings import reading
from tests.bandits.sequential.worlds import context_of, fresh, model_of, network, rows_of

EXITS = 4
PRICES = Costs.published(EXITS, per_layer=1.0, offload=4.0)
MOVES = {Answer: "answer", Deeper: "deeper", Ship: "ship"}


def made(name: str, **parameters: object) -> Policy:
    return make_policy(name, exits=EXITS, rng=np.random.default_rng(0), objective=Objective(mu=0.01), params=parameters)


@pytest.mark.parametrize("guarded", [False, True])
@pytest.mark.parametrize("name", list(POLICIES))
def test_every_policy_says_something_at_every_step_and_changes_nothing_by_it(name: str, guarded: bool):
    policy: Policy = made(name)
    if guarded:
        policy = Guard(policy, Limits(never_early=frozenset({0})), exits=EXITS)
    for row in random_traces(60, EXITS).confidence.tolist():
        every = readings_of(row)
        plan, readings, action = play(policy, context(PRICES), every)
        before = json.dumps(policy.state())
        for count in range(len(readings) + 1):
            reason = reason_for(policy, plan, readings[:count])
            assert reason.text
            assert "\n" not in reason.text
        assert json.dumps(policy.state()) == before
        assert policy.next(plan, readings) == action
        policy.learn(observed(policy, context(PRICES), every))


def test_an_arm_is_told_with_the_confidence_that_it_asks_for():
    policy = made("fixed", split=2, threshold=0.9)
    plan, readings, action = play(policy, context(PRICES), readings_of([0.5, 0.8, 0.9, 0.9]))
    assert action == Ship(2)
    reason = reason_for(policy, plan, readings)
    assert (reason.text, reason.asked) == ("0.80 < 0.90, which the arm asks of exit 2", 0.9)


def test_a_cascade_tells_the_threshold_of_the_class_that_the_exit_says():
    policy = made("cascade", per_exit=[0.6, 0.7, None], by_class={"1": {"3": 0.95}})
    plan = policy.begin(context(PRICES))
    said = reason_for(policy, plan, (reading(1, 3, 0.8),))
    assert (said.text, said.asked) == ("0.80 < 0.95, the threshold of exit 1 for this class", 0.95)
    assert reason_for(policy, plan, (reading(1, 2, 0.8),)).asked == 0.6
    assert math.isinf(reason_for(policy, plan, (reading(1, 2, 0.1), reading(2, 2, 0.1), reading(3, 2, 0.9))).asked)


def test_a_guard_says_what_it_has_against_an_answer_and_asks_no_predicate_for_it():
    asked = []
    limits = Limits(never_early=frozenset({2}), predicate=lambda one: bool(asked.append(one)) or True)
    policy = Guard(made("fixed", split=2, threshold=0.5), limits, exits=EXITS)
    plan = policy.begin(context(PRICES))
    said = reason_for(policy, plan, (reading(2, 2, 0.9),))
    assert said.text == "0.90 >= 0.50, which the arm asks of exit 2; the guard says never_early"
    assert not asked


def test_floors_of_an_envelope_are_part_of_what_is_asked():
    policy = Guard(made("fixed", split=2, threshold=0.5), Limits(floors=(0.9, 0.8, 0.7)), exits=EXITS)
    said = reason_for(policy, policy.begin(context(PRICES)), (reading(2, 1, 0.6),))
    assert (said.asked, said.text.rpartition(" ")[2]) == (0.8, "uncertified")


def test_the_sequential_policy_moves_where_the_told_loss_is_least():
    traces = network((1.5, 2.5, 3.5, 5.0))
    given, rows = context_of(traces, model_of(EXITS, whole=0.3, offload=1.5)), rows_of(traces)
    policy = fresh(EXITS)
    steps = 0
    for row in rows[:1500]:
        plan, readings, action = play(policy, given, list(row))
        if follows(plan):
            for count in range(1, len(readings) + 1):
                move = action if count == len(readings) else Deeper()
                losses = reason_for(policy, plan, readings[:count]).losses
                if losses:
                    assert losses[MOVES[type(move)]] == min(losses.values())
                    steps += 1
        policy.learn(observed(policy, given, list(row)))
    assert steps > 500


def follows(plan: Plan) -> bool:
    return isinstance(plan, SequentialPlan) and not plan.look and not plan.check


@pytest.mark.parametrize(
    ("confidence", "asked", "text"),
    [
        (0.9, 0.8, "0.90 >= 0.80"),
        (0.8996, 0.9, "0.8996 < 0.9000"),
        (0.9, 0.9, "0.90 >= 0.90"),
        (0.89999999, 0.9, "0.900000 < 0.900000"),
    ],
)
def test_two_numbers_are_written_with_as_many_digits_as_tell_them_apart(confidence: float, asked: float, text: str):
    assert compared(confidence, asked) == text
