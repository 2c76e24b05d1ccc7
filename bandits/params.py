"""Checks for the parameters of policies, which people write in policy files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from split_core.errors import ConfigError
from split_core.params import number as number
from split_core.params import whole as whole


def discount(name: str, value: Any) -> float:
    """A forgetting factor in (0, 1]; 1 never forgets.

    Raises:
        ConfigError: no number, or outside.
    """
    if type(value) not in (int, float) or not 0.0 < value <= 1.0:
        raise ConfigError(f"{name}: expected a number above 0 and at most 1, got {value!r}")
    return float(value)


def thresholds(name: str, value: Any) -> tuple[float, ...]:
    """Thresholds in [0, 1], made ascending.

    Raises:
        ConfigError: empty, repeated, or not thresholds.
    """
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise ConfigError(f"{name}: expected a list of numbers from 0 to 1, got {value!r}")
    found = sorted(number(f"{name}[{place}]", item, 0.0, 1.0) for place, item in enumerate(value))
    return tuple(_distinct(name, found))


def one_of(name: str, value: Any, known: Sequence[str]) -> str:
    """One of the words `known`.

    Raises:
        ConfigError: another one.
    """
    if type(value) is not str or value not in known:
        raise ConfigError(f"{name}: expected {' or '.join(known)}, got {value!r}")
    return value


def interval(name: str, value: Any) -> tuple[float, float]:
    """Two numbers within +-1e6, the lower one first.

    Raises:
        ConfigError: anything else.
    """
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise ConfigError(f"{name}: expected two numbers, lowest and highest, got {value!r}")
    low, high = (number(f"{name}[{place}]", item, -1e6, 1e6) for place, item in enumerate(value))
    if not low < high:
        raise ConfigError(f"{name}: the lowest must be below the highest, got {value!r}")
    return low, high


def splits(name: str, value: Any, exits: int) -> tuple[int, ...]:
    """Cuts 0..K, made ascending.

    Raises:
        ConfigError: empty, repeated, or not cuts of this network.
    """
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise ConfigError(f"{name}: expected a list of cuts from 0 to {exits}, got {value!r}")
    found = sorted(whole(f"{name}[{place}]", item, 0, exits) for place, item in enumerate(value))
    return tuple(_distinct(name, found))


def _distinct(name: str, found: list[Any]) -> list[Any]:
    if len(set(found)) != len(found):
        raise ConfigError(f"{name}: every value may be given once, got {found}")
    return found
