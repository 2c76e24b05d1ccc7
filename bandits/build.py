"""Policies by name, as policy files give them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from bandits import POLICIES
from bandits.policy import Policy
from split_core.errors import ConfigError
from split_core.objective import Objective
from split_core.registry import suggestion

# What the program passes to every factory; everything else in a signature is a parameter of the policy file.
GIVEN = frozenset({"exits", "rng", "objective"})


def parameter_names(name: str) -> list[str]:
    """Parameters that a policy file may set for policy `name`.

    Raises:
        ConfigError: no such policy.
    """
    return [key for key in inspect.signature(POLICIES.load(name)).parameters if key not in GIVEN]


def make_policy(
    name: str,
    *,
    exits: int,
    rng: np.random.Generator,
    objective: Objective,
    params: Mapping[str, Any] | None = None,
) -> Policy:
    """The policy `name` of `bandits.POLICIES` with `params` from a policy file.

    Raises:
        ConfigError: no such policy or parameter (with the nearest known one), or a value out of its range.
    """
    given = dict(params or {})
    known = parameter_names(name)
    for key in given:
        if key not in known:
            there = f"; there are: {', '.join(known)}" if known else "; it has none"
            raise ConfigError(f"policy {name!r} has no parameter {key!r}{suggestion(key, known)}{there}")
    try:
        policy: Policy = POLICIES.load(name)(exits=exits, rng=rng, objective=objective, **given)
    except ConfigError as error:
        raise ConfigError(f"policy {name!r}: {error}") from error
    return policy
