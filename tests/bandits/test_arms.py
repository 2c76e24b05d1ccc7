from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bandits.arms import ArmPolicy, ArmTable, joint_arms, next_action
from bandits.policy import Answer, Arm, Context, Costs, Deeper, Observation, Plan, Ship
from split_core.errors import PolicyFileError
from tests.bandits.frames import context, observed, readings_of
from tests.bandits.readings import reading

COSTS = Costs.published(3, per_layer=1.0, offload=2.0)
INPUT_IS_CHEAPEST = Costs(COSTS.device, COSTS.head, COSTS.ship, (0, 0, 0))
EVERYWHERE = context(COSTS)
ARMS = joint_arms(3, (0, 1, 2, 3), (0.0, 0.8))


class Script:
    """A bandit that plays what it is told and keeps what it was paid."""

    def __init__(self, arm: int) -> None:
        self.arm, self.asked, self.paid = arm, [], []  # type: ignore[var-annotated]

    def choose(self, allowed: Sequence[int]) -> int:
        self.asked.append(tuple(allowed))
        return self.arm

    def propensity(self, arm: int, allowed: Sequence[int]) -> float:
        return 0.25

    def update(self, arm: int, reward: float) -> None:
        self.paid.append((arm, reward))

    def state(self) -> dict[str, Any]:
        return {"paid": len(self.paid)}

    def restore(self, state: dict[str, Any]) -> None:
        self.paid = [(0, 0.0)] * state["paid"]


def scripted(arm: int, **heads: Any) -> tuple[ArmPolicy, Script]:
    bandit = Script(arm)
    policy = ArmPolicy(ArmTable("script", ARMS, exits=3), bandit, lambda _: [(arm, 0.5)], **(heads or {"heads": "all"}))
    return policy, bandit


def test_the_joint_grid_has_one_arm_for_the_ends_and_every_threshold_between() -> None:
    assert joint_arms(3, (0, 1, 2, 3), (0.0, 0.8)) == [
        Arm(0, 1.0),
        Arm(1, 0.0),
        Arm(1, 0.8),
        Arm(2, 0.0),
        Arm(2, 0.8),
        Arm(3, 0.0),
    ]
    assert joint_arms(3, (2,), (0.9, 0.1)) == [Arm(2, 0.1), Arm(2, 0.9)]


@pytest.mark.parametrize(("split", "threshold"), [(-1, 0.5), (1, -0.1), (1, 1.1), (1, float("nan"))])
def test_an_arm_outside_its_range_is_our_bug(split: int, threshold: float) -> None:
    with pytest.raises(ValueError, match="must"):
        Arm(split, threshold)


@pytest.mark.parametrize("arms", [[], [Arm(4, 0.0)]])
def test_a_table_without_arms_or_with_one_too_deep_is_our_bug(arms: list[Arm]) -> None:
    with pytest.raises(ValueError, match="splits up to 3"):
        ArmTable("script", arms, exits=3)


def test_an_arm_answers_at_its_threshold_and_ships_below_it() -> None:
    plan = Plan(EVERYWHERE, (2,), Arm(2, 0.8), 4)
    assert next_action(plan, ()) == Deeper()
    assert next_action(plan, (reading(2, 0, 0.8),)) == Answer(2)
    assert next_action(plan, (reading(2, 0, 0.79),)) == Ship(2)


def test_exits_before_the_split_decide_nothing() -> None:
    plan = Plan(EVERYWHERE, (1, 2), Arm(2, 0.8), 4)
    assert next_action(plan, (reading(1, 0, 1.0),)) == Deeper()


def test_what_is_shipped_is_the_payload_of_the_context() -> None:
    plan = Plan(context(INPUT_IS_CHEAPEST), (2,), Arm(2, 0.8), 4)
    assert next_action(plan, (reading(2, 0, 0.1),)) == Ship(0)


def test_the_last_exit_answers_however_unsure() -> None:
    assert next_action(Plan(EVERYWHERE, (3,), Arm(3, 0.9), 5), (reading(3, 0, 0.0),)) == Answer(3)


def test_split_0_ships_before_anything_runs() -> None:
    assert next_action(Plan(EVERYWHERE, (), Arm(0, 1.0), 0), ()) == Ship(0)


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        (EVERYWHERE, (0, 1, 2, 3, 4, 5)),
        (replace(EVERYWHERE, splits=(1, 3)), (1, 2, 5)),
        (replace(EVERYWHERE, cloud=False), (1, 3, 5)),
        (replace(EVERYWHERE, splits=(0, 2), cloud=False), (3,)),
        (replace(EVERYWHERE, splits=(0,), cloud=False), ()),
        (replace(EVERYWHERE, costs=replace(COSTS, ship=np.array([np.inf, 2.0, np.inf]))), (1, 2, 3, 5)),
    ],
)
def test_a_context_allows_arms_that_can_end_in_it(given: Context, allowed: tuple[int, ...]) -> None:
    assert ArmTable("script", ARMS, exits=3).allowed(given) == allowed


def test_what_is_allowed_follows_the_context_from_frame_to_frame() -> None:
    table = ArmTable("script", ARMS, exits=3)
    assert table.allowed(EVERYWHERE) != table.allowed(replace(EVERYWHERE, cloud=False))
    assert table.allowed(EVERYWHERE) == (0, 1, 2, 3, 4, 5)


def test_the_bandit_chooses_among_the_allowed_and_gives_the_propensity() -> None:
    policy, bandit = scripted(4)
    plan = policy.begin(replace(EVERYWHERE, splits=(2, 3)))
    assert bandit.asked == [(3, 4, 5)]
    assert (plan.arm, plan.arm_index, plan.propensity, plan.heads) == (Arm(2, 0.8), 4, 0.25, (1, 2))


def test_played_heads_are_the_one_at_the_split() -> None:
    policy, _ = scripted(4, heads="played")
    assert policy.begin(EVERYWHERE).heads == (2,)


def test_a_finished_frame_pays_the_bandit() -> None:
    policy, bandit = scripted(4)
    policy.learn(observed(policy, EVERYWHERE, readings_of([0.1, 0.9, 1.0])))
    assert bandit.paid == [(4, 0.5)]


def test_a_lost_reply_pays_nobody() -> None:
    policy, bandit = scripted(4)
    frame = observed(policy, EVERYWHERE, readings_of([0.1, 0.2, 1.0]))
    assert frame.action == Ship(2)
    policy.learn(replace(frame, verdict=None))
    assert bandit.paid == []


def test_an_only_choice_is_played_but_neither_asked_for_nor_paid() -> None:
    policy, bandit = scripted(4)
    frame = observed(policy, replace(EVERYWHERE, splits=(3,)), readings_of([0.1, 0.2, 1.0]))
    policy.learn(frame)
    assert (frame.plan.arm, frame.action, bandit.asked, bandit.paid) == (Arm(3, 0.0), Answer(3), [], [])


def test_no_arm_at_all_means_the_deepest_exit_in_reach_and_nothing_learned() -> None:
    bandit = Script(0)
    policy = ArmPolicy(ArmTable("ships", [Arm(0, 1.0), Arm(1, 0.8)], exits=3), bandit, lambda _: [], heads="all")
    frame = observed(policy, replace(EVERYWHERE, splits=(0, 1, 2), cloud=False), readings_of([0.9, 0.2, 1.0]))
    assert (frame.plan.arm, frame.plan.heads, frame.action) == (None, (1, 2), Answer(2))
    assert not frame.plan.learns
    assert bandit.asked == []


def test_where_only_the_input_may_leave_and_there_is_no_cloud_exit_1_answers() -> None:
    policy, _ = scripted(0)
    frame = observed(policy, replace(EVERYWHERE, splits=(0,), cloud=False), readings_of([0.1, 0.2, 1.0]))
    assert frame.action == Answer(1)


def test_a_plan_without_an_arm_teaches_nothing_even_when_it_says_so() -> None:
    policy, bandit = scripted(0)
    plan = Plan(EVERYWHERE, (1,), None, learns=True)
    policy.learn(Observation(plan, (reading(1, 0, 0.5),), Answer(1), None, 1.0))
    assert bandit.paid == []


def test_the_arm_list_is_part_of_the_state() -> None:
    policy, _ = scripted(0)
    state = policy.state()
    assert state["arms"] == [[0, 1.0], [1, 0.0], [1, 0.8], [2, 0.0], [2, 0.8], [3, 0.0]]
    assert (state["policy"], state["exits"], state["bandit"]) == ("script", 3, {"paid": 0})


@pytest.mark.parametrize("change", [{"policy": "other"}, {"exits": 4}, {"arms": [[0, 1.0]]}, {"exits": 3.0}])
def test_a_state_with_other_arms_is_refused_with_what_to_do(change: dict[str, Any]) -> None:
    policy, _ = scripted(0)
    with pytest.raises(PolicyFileError, match="remove the saved state to start afresh"):
        policy.restore({**policy.state(), **change})


def test_a_state_without_a_bandit_is_refused() -> None:
    policy, _ = scripted(0)
    with pytest.raises(PolicyFileError, match="bandit must be a mapping"):
        policy.restore({**policy.state(), "bandit": 3})
