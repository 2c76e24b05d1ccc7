from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from bandits import POLICIES
from bandits.build import GIVEN, make_policy, parameter_names
from split_core.errors import ConfigError
from split_core.objective import Objective


def build(name: str, params: dict[str, Any] | None = None, exits: int = 3) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return make_policy(name, exits=exits, rng=rng, objective=Objective(), params=params).state()


@pytest.mark.parametrize("name", list(POLICIES))
def test_every_policy_works_with_its_defaults(name: str) -> None:
    state = build(name)
    assert (state["policy"], state["exits"]) == (name, 3)


@pytest.mark.parametrize("name", list(POLICIES))
def test_every_default_can_be_given(name: str) -> None:
    signature = inspect.signature(POLICIES.load(name)).parameters
    defaults = {key: signature[key].default for key in parameter_names(name)}
    given = {key: list(value) if isinstance(value, tuple) else value for key, value in defaults.items()}
    assert build(name, given) == build(name)


@pytest.mark.parametrize("name", list(POLICIES))
def test_what_the_program_gives_is_no_parameter_of_a_file(name: str) -> None:
    assert not GIVEN & set(parameter_names(name))
    with pytest.raises(ConfigError, match="no parameter 'rng'"):
        build(name, {"rng": 1})


def test_parameters_reach_the_policy() -> None:
    assert build("fixed", {"split": 2, "threshold": 0.5})["arms"] == [[2, 0.5]]
    assert build("ucbee", {"split": 2, "thresholds": [0.9, 0.1]})["arms"] == [[2, 0.1], [2, 0.9]]
    assert build("splitee", {"threshold": 0.7})["arms"] == [[1, 0.7], [2, 0.7], [3, 0.7]]


def test_an_unknown_policy_names_the_nearest_and_lists_all() -> None:
    with pytest.raises(ConfigError, match="no policy named 'splite'; did you mean 'splitee'") as caught:
        build("splite")
    assert all(name in str(caught.value) for name in POLICIES)


def test_an_unknown_parameter_lists_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"'treshold'; did you mean 'threshold'\?; there are: split, threshold"):
        build("fixed", {"treshold": 0.5})
    with pytest.raises(ConfigError, match="it has none"):
        build("edge_only", {"c": 0.5})


def test_a_bad_value_names_the_policy_and_the_parameter() -> None:
    with pytest.raises(ConfigError, match=r"^policy 'splitee': threshold: expected a number from 0 to 1, got 1.5$"):
        build("splitee", {"threshold": 1.5})


def test_a_threshold_bandit_needs_an_exit_before_the_final_one() -> None:
    with pytest.raises(ConfigError, match="needs an exit before the final one"):
        build("ucbee", exits=1)


@pytest.mark.parametrize("name", ["splitee", "splitee_s", "edge_only", "cloud_only", "fixed", "random"])
def test_a_network_of_one_exit_is_enough_for_the_others(name: str) -> None:
    assert build(name, exits=1)["exits"] == 1
