from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bandits.build import make_policy
from bandits.compare import compare
from bandits.grid import DEEPEST_FIRST, READ_ALL_FIRST
from bandits.policy import Answer, Arm, Context, Costs, Policy, Ship
from split_core.objective import Objective
from split_core.readings import Reading
from tests.bandits.frames import context, observed, path_model, random_traces, readings_of

CHEAP = Costs.published(3, per_layer=10.0, offload=5.0)
DEAR = Costs.published(3, per_layer=10.0, offload=200.0)


def grid(exits: int = 3, mu: float = 0.01, **params: object) -> Policy:
    return make_policy("grid", exits=exits, rng=np.random.default_rng(0), objective=Objective(mu=mu), params=params)


def learned(policy: Policy, given: Context, frames: list[list[Reading]]) -> Policy:
    for every in frames:
        policy.learn(observed(policy, given, every))
    return policy


def frames(count: int, seed: int = 0) -> list[list[Reading]]:
    """Exit 1 is sure of half the frames, exit 2 of more, exit 3 of all."""
    rng = np.random.default_rng(seed)
    return [
        readings_of([0.95 if ease > 0.5 else 0.4, 0.95 if ease > 0.25 else 0.6, 0.97]) for ease in rng.random(count)
    ]


def arm_of(policy: Policy, given: Context) -> Arm:
    arm = policy.begin(given).arm
    assert arm is not None
    return arm


def test_the_first_frames_run_to_the_end_and_read_every_exit() -> None:
    policy, given = grid(mu=0.005), context(CHEAP)
    for every in frames(DEEPEST_FIRST):
        seen = observed(policy, given, every)
        assert (seen.plan.arm, seen.plan.heads) == (Arm(3, 0.0), (1, 2, 3))
        policy.learn(seen)
    assert arm_of(policy, given) != Arm(3, 0.0)


@pytest.mark.parametrize(("mu", "looks"), [(0.01, 34), (0.02, 17), (0.033, 11)])
def test_the_first_frames_are_fewer_where_depth_is_dear(mu: float, looks: int) -> None:
    """At 30 mu a frame, until they have cost 10."""
    policy, given = grid(mu=mu), context(CHEAP)
    seen = [observed(policy, given, every) for every in frames(DEEPEST_FIRST)]
    deepest = [each.plan.arm == Arm(3, 0.0) and each.plan.heads == (1, 2, 3) for each in seen]
    assert deepest.index(False) == looks


def test_the_first_frames_leave_out_arms_that_cannot_pay() -> None:
    dear = replace(CHEAP, device=np.array([0.0, 10.0, 20.0, 101.0]))
    arm = arm_of(grid(mu=0.01), context(dear))
    assert (arm.split, arm.threshold) == (2, 1.0)
    assert arm_of(grid(mu=10.0), context(dear)).split in range(4)


def test_a_new_price_of_the_link_counts_in_the_very_next_frame() -> None:
    policy = learned(grid(c=0.01), context(CHEAP), frames(400))
    state = policy.state()
    assert arm_of(policy, context(CHEAP)) == Arm(0, 1.0)
    dear = arm_of(policy, context(DEAR))
    assert dear.split > 0
    assert dear.threshold <= 0.95
    assert arm_of(policy, context(CHEAP)) == Arm(0, 1.0)
    assert policy.state()["strata"] == state["strata"]


def test_a_new_price_of_the_device_counts_in_the_very_next_frame() -> None:
    policy = learned(grid(c=0.01), context(DEAR), frames(400))
    slow = replace(DEAR, device=DEAR.device * 100.0)
    assert arm_of(policy, context(DEAR)).split > 0
    assert arm_of(policy, context(slow)) == Arm(0, 1.0)


def test_exits_on_the_way_are_read_in_one_frame_of_eight() -> None:
    policy = grid(splits=[2, 3], discount=1.0)
    given = context(DEAR)
    learned(policy, given, frames(READ_ALL_FIRST))
    lengths = []
    for every in frames(80, seed=1):
        seen = observed(policy, given, every)
        lengths.append(len(seen.plan.heads) == seen.plan.heads[-1])
        policy.learn(seen)
    assert sum(lengths) == 10


@pytest.mark.parametrize(("side_every", "all_read"), [(0, False), (1, True)])
def test_exits_on_the_way_are_read_never_or_always(side_every: int, all_read: bool) -> None:
    policy = learned(grid(splits=[2, 3], side_every=side_every), context(DEAR), frames(READ_ALL_FIRST))
    heads = [policy.begin(context(DEAR)).heads for _ in range(20)]
    assert all((len(read) == read[-1]) == all_read for read in heads)


def test_the_final_confidence_of_a_frame_answered_locally_is_never_used() -> None:
    given, honest, blind = context(DEAR), grid(), grid()
    hidden = 0
    for every in frames(500):
        seen = observed(honest, given, every)
        honest.learn(seen)
        local = isinstance(seen.action, Answer) and seen.action.exit < 3
        hidden += local
        # A stream that differs only where nobody on the device could see it.
        blind.learn(observed(blind, given, [*every[:2], replace(every[2], confidence=0.0)] if local else every))
    assert hidden > 50
    assert blind.state() == honest.state()


def test_an_audit_of_a_local_answer_is_used() -> None:
    policy = learned(grid(), context(DEAR), frames(100))
    seen = next(s for s in (observed(policy, context(DEAR), f) for f in frames(50)) if isinstance(s.action, Answer))
    before = policy.state()
    policy.learn(replace(seen, verdict=seen.readings[-1]))
    assert policy.state() != before


def test_without_a_cloud_the_best_local_arm_is_played() -> None:
    policy = learned(grid(c=0.01), context(CHEAP), frames(400))
    cheap_device = replace(CHEAP, device=np.array([0.0, 0.1, 0.2, 0.3]))
    assert arm_of(policy, context(cheap_device, cloud=False)) == Arm(3, 0.0)
    dear_device = replace(CHEAP, device=np.array([0.0, 1.0, 300.0, 600.0]))
    assert arm_of(policy, context(dear_device, cloud=False)) == Arm(1, 0.0)


def test_where_inputs_may_not_be_shipped_split_0_is_never_played() -> None:
    hidden = replace(CHEAP, ship=np.array([np.inf, 5.0, 5.0]))
    policy = grid()
    for every in frames(400):
        seen = observed(policy, context(hidden), every)
        assert seen.plan.arm is not None
        assert seen.plan.arm.split > 0
        assert not (isinstance(seen.action, Ship) and seen.plan.arm.split == 0)
        policy.learn(seen)


def test_c_0_still_tries_what_was_never_seen() -> None:
    policy = grid(c=0.0)
    shallow = Context((1,), True, 100.0, CHEAP)
    learned(policy, shallow, frames(DEEPEST_FIRST + 1))
    assert arm_of(policy, context(CHEAP)).split in (2, 3)


def test_it_follows_a_change_of_the_frames() -> None:
    easy = [readings_of([0.97, 0.98, 0.99])] * 500
    hard = [readings_of([0.45, 0.5, 0.99])] * 1500
    policy = learned(grid(mu=0.002, discount=0.99), context(DEAR), easy)
    assert arm_of(policy, context(DEAR)).split == 1
    learned(policy, context(DEAR), hard)
    assert arm_of(policy, context(DEAR)) == Arm(3, 0.0)


def test_regret_is_far_below_that_of_random_and_published_policies() -> None:
    model = path_model(4, objective=Objective(mu=0.003))
    names = {"random": {}, "splitee": {}, "splitee_s": {}, "grid": {}}
    regret = {row["name"]: row["regret"] for row in compare(random_traces(2000, 4), model, names, [0, 1]).rows}
    assert regret["grid"] < 0.5 * min(regret["random"], regret["splitee"], regret["splitee_s"])


def test_regret_grows_slower_and_slower() -> None:
    model, names = path_model(4, objective=Objective(mu=0.01)), {"grid": {"discount": 1.0}}
    curve = compare(random_traces(4000, 4, seed=2), model, names, [0, 1, 2]).regret["grid"]
    assert curve[3999] - curve[1999] < 0.5 * curve[1999]
