"""Criteria by name, as policy files give them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from split_core.criteria import CRITERIA
from split_core.criteria.base import WEIGHTS, Criterion
from split_core.errors import ConfigError
from split_core.registry import suggestion
from split_core.tensors import Array

# What the program passes to every factory that asks; everything else is a parameter of the policy file.
GIVEN = frozenset({"exits", "arrays"})


def criterion_parameters(name: str) -> list[str]:
    """Parameters that a policy file may set for criterion `name`.

    Raises:
        ConfigError: no such criterion.
    """
    return [key for key in inspect.signature(CRITERIA.load(name)).parameters if key not in GIVEN]


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
    given = dict(params or {})
    known = criterion_parameters(name)
    for key in given:
        if key not in known:
            there = f"; there are: {', '.join(known)}" if known else "; it has none"
            raise ConfigError(f"criterion {name!r} has no parameter {key!r}{suggestion(key, known)}{there}")
    factory = CRITERIA.load(name)
    required = inspect.signature(factory).parameters
    for key in known:
        if key not in given and required[key].default is inspect.Parameter.empty:
            raise ConfigError(f"criterion {name!r} needs the parameter {key!r}; give it in criterion_params")
    if arrays is None and WEIGHTS in factory.needs:
        raise ConfigError(f"criterion {name!r} needs trained arrays, the policy names none; give criterion_arrays")
    if arrays is not None and "arrays" not in required:
        raise ConfigError(f"criterion {name!r} takes no trained arrays; remove criterion_arrays from the policy")
    made = {"exits": exits, "arrays": arrays}
    try:
        criterion: Criterion = factory(**given, **{key: made[key] for key in GIVEN if key in required})
    except ConfigError as error:
        raise ConfigError(f"criterion {name!r}: {error}") from error
    return criterion
