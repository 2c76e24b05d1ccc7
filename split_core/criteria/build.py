"""Criteria by name, as policy files give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from split_core.criteria import CRITERIA
from split_core.criteria.base import WEIGHTS, Criterion
from split_core.errors import ConfigError
from split_core.params import call_with, check_names, settable
from split_core.tensors import Array

# What the program passes to every factory that asks; everything else is a parameter of the policy file.
GIVEN = frozenset({"exits", "arrays"})


def criterion_parameters(name: str) -> list[str]:
    """Parameters that a policy file may set for criterion `name`.

    Raises:
        ConfigError: no such criterion.
    """
    return settable(CRITERIA.load(name), GIVEN)


def make_criterion(
    name: str,
    *,
    exits: int,
    params: Mapping[str, Any] | None = None,
    arrays: Mapping[str, Array] | None = None,
) -> Criterion:
    """The criterion `name` of `CRITERIA` with `params`, and with the trained `arrays` when it takes any.

    Raises:
        ConfigError: no such criterion or parameter (with the nearest known one), a value out of its range,
            or arrays that are missing or not wanted.
    """
    factory, what = CRITERIA.load(name), f"criterion {name!r}"
    check_names(what, factory, params or {}, GIVEN)
    if arrays is None and WEIGHTS in factory.needs:
        raise ConfigError(
            f"{what} needs trained arrays, none are named; make them with "
            f"'offramp train --criterion {name}' and give them as criterion_arrays"
        )
    if arrays is not None and "arrays" not in settable(factory, ()):
        raise ConfigError(f"{what} takes no trained arrays; leave criterion_arrays out")
    given = {"exits": exits, "arrays": arrays}
    criterion: Criterion = call_with(what, factory, params or {}, given)
    return criterion
