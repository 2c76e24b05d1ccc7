"""Policies by name, as policy files give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bandits import POLICIES
from bandits.policy import Policy
from split_core.objective import Objective
from split_core.params import call_with, settable

# What the program passes to every factory; everything else in a signature is a parameter of the policy file.
GIVEN = frozenset({"exits", "rng", "objective"})


def parameter_names(name: str) -> list[str]:
    """Parameters that a policy file may set for policy `name`.

    Raises:
        ConfigError: no such policy.
    """
    return settable(POLICIES.load(name), GIVEN)


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
    given = {"exits": exits, "rng": rng, "objective": objective}
    policy: Policy = call_with(f"policy {name!r}", POLICIES.load(name), params or {}, given)
    return policy
