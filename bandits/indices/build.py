"""Bandits by name, as policy files give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bandits import params
from bandits.arms import ArmBandit
from bandits.indices import FORGETTING, INDICES
from bandits.indices.bandit import IndexBandit
from bandits.indices.index import Index
from split_core.errors import ConfigError
from split_core.params import call_with, settable
from split_core.registry import Registry

# What the program gives; everything else in a signature may be set in a policy file.
GIVEN = frozenset({"arms", "rng"})

# A name, or a mapping of the name and parameters: {"name": "window", "choices": 500}.
Choice = str | Mapping[str, Any]


def make_bandit(
    index: Choice, arms: int, *, rng: np.random.Generator, c: float | None = None, forget: Choice = "none"
) -> ArmBandit:
    """A bandit over `arms` arms.

    Args:
        index: of `INDICES`: "kl_ucb", or with parameters {"name": "kl_ucb", "range": [0, 1]}.
        arms: how many.
        rng: for the indices that draw.
        c: exploration weight where `index` does not tell its own; each index says what it weighs.
        forget: of `FORGETTING`, in the same way.

    Raises:
        ConfigError: no such name or parameter, a value out of its range, or an index that cannot forget in this way.
    """
    how, way = named("forget", forget)
    made = _made(index, arms, rng, c)
    forgetting = call_with(f"forget {how!r}", FORGETTING.load(how), way, {"arms": arms, "rng": rng})
    if isinstance(made, Index):
        return IndexBandit(arms, made, forgetting)
    if how != "none":
        name = named("index", index)[0]
        raise ConfigError(f"forget: index {name!r} keeps no counts that could be forgotten; give forget 'none'")
    return made


def make_index(index: Choice, arms: int, *, rng: np.random.Generator, c: float | None = None) -> Index:
    """The index alone, for a policy that keeps means and counts in its own way, but no squares.

    Raises:
        ConfigError: see `make_bandit`; or this one needs more than means and counts.
    """
    made = _made(index, arms, rng, c)
    if isinstance(made, Index) and not made.reads_variance:
        return made
    enough = [name for name in INDICES if not getattr(INDICES.load(name), "reads_variance", True)]
    name = named("index", index)[0]
    raise ConfigError(f"index: {name!r} needs more than means and counts; give {', '.join(enough)}")


def _made(index: Choice, arms: int, rng: np.random.Generator, c: float | None) -> Index | ArmBandit:
    name, settings = named("index", index)
    factory = INDICES.load(name)
    if c is not None and "c" in settable(factory, GIVEN):
        settings = {"c": c, **settings}
    made: Index | ArmBandit = call_with(f"index {name!r}", factory, settings, {"arms": arms, "rng": rng})
    return made


def policy_bandit(arms: int, *, index: Choice, forget: Choice, c: float, rng: np.random.Generator) -> ArmBandit:
    """What the parameters `index`, `forget` and `c` of a policy file stand for.

    `c` is the policy's, on UCB1's scale; another index has its own scale, and its own `c` within `index`.

    Raises:
        ConfigError: see `make_bandit`.
    """
    weight = params.number("c", c, 0.0, 100.0)
    is_ucb1 = named("index", index)[0] == "ucb1"
    return make_bandit(index, arms, rng=rng, c=weight if is_ucb1 else None, forget=forget)


def named(parameter: str, given: Any) -> tuple[str, dict[str, Any]]:
    """Name and parameters of `index` or `forget`, as a person wrote them.

    Raises:
        ConfigError: neither a name nor a mapping with one, or no such name.
    """
    registry: Registry = {"index": INDICES, "forget": FORGETTING}[parameter]
    settings = dict(given) if isinstance(given, Mapping) else {"name": given}
    name = settings.pop("name", None)
    if not isinstance(name, str) or any(not isinstance(key, str) for key in settings):
        raise ConfigError(
            f"{parameter}: expected a name ({', '.join(registry)}) or a mapping of it and its parameters, got {given!r}"
        )
    if name not in registry:
        registry.load(name)  # says which is nearest
    return name, settings
