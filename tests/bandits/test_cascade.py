from __future__ import annotations

import numpy as np
import pytest

from bandits.build import make_policy
from bandits.policy import Answer, Costs, Policy, Ship
from split_core.errors import ConfigError, PolicyFileError
from split_core.objective import Objective
from tests.bandits.frames import context, play, readings_of

COSTS = Costs.published(4, per_layer=0.1, offload=0.3)


def cascade(**params: object) -> Policy:
    return make_policy("cascade", exits=4, rng=np.random.default_rng(0), objective=Objective(), params=params)


def test_the_first_exit_that_meets_its_own_threshold_answers() -> None:
    policy = cascade(per_exit=[None, 0.8, 0.6])
    assert play(policy, context(COSTS), readings_of([1.0, 0.8, 0.9, 0.1]))[2] == Answer(2)
    assert play(policy, context(COSTS), readings_of([1.0, 0.7, 0.6, 0.1]))[2] == Answer(3)
    assert play(policy, context(COSTS), readings_of([1.0, 0.7, 0.5, 0.1]))[2] == Answer(4)


def test_what_nobody_is_sure_of_is_shipped_after_the_exit_said() -> None:
    policy = cascade(per_exit=[0.9, 0.9, 0.9], ship_after=2)
    assert play(policy, context(COSTS), readings_of([0.5, 0.5, 1.0, 1.0]))[2] == Ship(2)
    assert play(policy, context(COSTS), readings_of([0.5, 0.9, 1.0, 1.0]))[2] == Answer(2)


def test_in_an_outage_the_device_goes_on_to_deeper_exits() -> None:
    policy = cascade(per_exit=[0.9, 0.9, 0.9], ship_after=2)
    assert play(policy, context(COSTS, cloud=False), readings_of([0.5, 0.5, 0.95, 1.0]))[2] == Answer(3)


def test_a_device_that_cannot_run_all_ships_from_its_deepest_exit() -> None:
    policy = cascade(per_exit=[0.9, 0.9, 0.9])
    assert play(policy, context(COSTS, splits=(1, 2)), readings_of([0.5, 0.5, 1.0, 1.0]))[2] == Ship(2)
    assert play(policy, context(COSTS, splits=(1, 2), cloud=False), readings_of([0.5, 0.5, 1.0, 1.0]))[2] == Answer(2)


def test_a_class_may_have_its_own_threshold() -> None:
    policy = cascade(per_exit=[0.5, 0.5, 0.5], by_class={"1": {"7": None}, "2": {7: 0.9}})
    sevens = readings_of([1.0, 0.8, 0.8, 1.0], label=7)
    assert play(policy, context(COSTS), sevens)[2] == Answer(3)
    assert play(policy, context(COSTS), readings_of([0.5, 0.8, 0.8, 1.0], label=6))[2] == Answer(1)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"per_exit": [0.5]}, "expected 3 thresholds, one per exit before the last"),
        ({"per_exit": [0.5, 2.0, 0.5]}, r"per_exit\[1\]: expected a number from 0 to 1"),
        ({"ship_after": 5}, "ship_after: expected a whole number from 0 to 4"),
        ({"by_class": [1]}, "by_class: expected exits to classes"),
        ({"by_class": {"1": 0.5}}, "by_class.1: expected classes"),
        ({"by_class": {"4": {"0": 0.5}}}, "'4' is no number from 1 to 3"),
        ({"by_class": {"1": {"cat": 0.5}}}, "'cat' is no number"),
    ],
)
def test_bad_parameters_are_named(params: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        cascade(**params)


def test_a_state_of_other_thresholds_is_refused() -> None:
    state = cascade(per_exit=[None, 0.5, 0.5]).state()
    cascade(per_exit=[None, 0.5, 0.5]).restore(state)
    with pytest.raises(PolicyFileError, match="per_exit"):
        cascade(per_exit=[0.4, 0.5, 0.5]).restore(state)
