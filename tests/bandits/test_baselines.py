from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bandits.arms import joint_arms
from bandits.build import make_policy
from bandits.policy import Answer, Arm, Costs, Policy, Ship
from split_core.errors import ConfigError, PolicyFileError
from split_core.objective import Objective
from tests.bandits.frames import context, observed, readings_of

COSTS = Costs.published(3, per_layer=1.0, offload=2.0)
EVERYWHERE = context(COSTS)
SURE, UNSURE = readings_of([0.9, 0.9, 0.9]), readings_of([0.3, 0.3, 0.3])


def policy(name: str, seed: int = 0, **params: Any) -> Policy:
    return make_policy(name, exits=3, rng=np.random.default_rng(seed), objective=Objective(), params=params)


def test_edge_only_runs_the_whole_network_and_answers() -> None:
    frame = observed(policy("edge_only"), EVERYWHERE, UNSURE)
    assert (frame.plan.arm, frame.plan.heads, frame.action) == (Arm(3, 0.0), (3,), Answer(3))


def test_cloud_only_ships_the_input_and_reads_nothing() -> None:
    frame = observed(policy("cloud_only"), EVERYWHERE, SURE)
    assert (frame.plan.arm, frame.readings, frame.action) == (Arm(0, 1.0), (), Ship(0))


def test_offload_all_runs_one_segment_and_ships_however_sure_it_is() -> None:
    frame = observed(policy("offload_all"), EVERYWHERE, SURE)
    assert isinstance(frame.action, Ship)
    assert [reading.exit for reading in frame.readings] == [1]


def test_cloud_only_without_a_cloud_answers_on_the_device() -> None:
    assert observed(policy("cloud_only"), replace(EVERYWHERE, cloud=False), UNSURE).action == Answer(3)


def test_a_fixed_arm_answers_when_sure_and_ships_when_not() -> None:
    fixed = policy("fixed", split=2, threshold=0.5)
    assert observed(fixed, EVERYWHERE, SURE).action == Answer(2)
    assert observed(fixed, EVERYWHERE, UNSURE).action == Ship(2)


@pytest.mark.parametrize("name", ["fixed", "edge_only", "cloud_only"])
def test_a_constant_policy_never_changes(name: str) -> None:
    subject = policy(name)
    before = subject.state()
    arms = set()
    for every in (SURE, UNSURE) * 20:
        frame = observed(subject, EVERYWHERE, every)
        subject.learn(frame)
        arms.add(frame.plan.arm)
    assert len(arms) == 1
    assert subject.state() == before


def test_random_plays_every_arm_of_the_grid_equally_often() -> None:
    subject = policy("random", thresholds=[0.5, 0.9])
    plans = [subject.begin(EVERYWHERE) for _ in range(3000)]
    counts = Counter(plan.arm for plan in plans)
    assert set(counts) == set(joint_arms(3, range(4), [0.5, 0.9]))
    assert {plan.propensity for plan in plans} == {1 / 6}
    # 3000 draws, p = 1/6: standard deviation 20.4
    assert all(abs(count - 500) < 90 for count in counts.values())


def test_random_draws_among_what_is_allowed_and_says_with_which_chance() -> None:
    subject = policy("random", thresholds=[0.5, 0.9])
    plans = [subject.begin(replace(EVERYWHERE, splits=(1, 3))) for _ in range(200)]
    assert {plan.arm for plan in plans} == {Arm(1, 0.5), Arm(1, 0.9), Arm(3, 0.0)}
    assert {plan.propensity for plan in plans} == {1 / 3}


def test_random_draws_other_arms_with_another_seed() -> None:
    first, second = policy("random", seed=1), policy("random", seed=2)
    assert [first.begin(EVERYWHERE).arm for _ in range(30)] != [second.begin(EVERYWHERE).arm for _ in range(30)]


@pytest.mark.parametrize("generator", [{"bit_generator": "MT19937"}, {}, 3, None])
def test_a_state_of_another_generator_is_refused(generator: Any) -> None:
    subject = policy("random")
    with pytest.raises(PolicyFileError, match="no state of PCG64") as caught:
        subject.restore({**subject.state(), "bandit": {"generator": generator}})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "params"), [("fixed", {"split": 4}), ("random", {"splits": [0, 4]})])
def test_a_split_that_the_network_does_not_have_is_refused(name: str, params: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="from 0 to 3, got 4"):
        policy(name, **params)


@pytest.mark.parametrize("params", [{"splits": [1, 1]}, {"thresholds": [0.5, 0.5]}])
def test_values_given_twice_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="may be given once"):
        policy("random", **params)
