"""Checks for the parameters that people write in policy files."""

from __future__ import annotations

from typing import Any

from split_core.errors import ConfigError


def number(name: str, value: Any, low: float, high: float) -> float:
    """`value` as a float within [low, high].

    Raises:
        ConfigError: no number, or outside; names the parameter.
    """
    if type(value) not in (int, float) or not low <= value <= high:
        raise ConfigError(f"{name}: expected a number from {low:g} to {high:g}, got {value!r}")
    return float(value)


def whole(name: str, value: Any, low: int, high: int) -> int:
    """`value` as an int within [low, high].

    Raises:
        ConfigError: no whole number, or outside; names the parameter.
    """
    if type(value) is not int or not low <= value <= high:
        raise ConfigError(f"{name}: expected a whole number from {low} to {high}, got {value!r}")
    return value
