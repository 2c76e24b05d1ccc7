"""Checks for the parameters that people write in policy files, and what they may be called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import yaml

from split_core.errors import ConfigError
from split_core.registry import suggestion


def settable(factory: Callable[..., Any], given: Collection[str]) -> list[str]:
    """Parameters of `factory` that a person may set: all but those that the program gives."""
    return [key for key in inspect.signature(factory).parameters if key not in given]


def check_names(what: str, factory: Callable[..., Any], params: Collection[str], given: Collection[str]) -> None:
    """Whether `factory` has these parameters, and no others that must be set.

    Args:
        what: the factory, for messages: "criterion 'patience'".
        factory: its signature says what it takes.
        params: names that a person wrote.
        given: names that the program gives.

    Raises:
        ConfigError: no such parameter (with the nearest known one), or one is missing.
    """
    known = settable(factory, given)
    for key in params:
        if key not in known:
            there = f"; there are: {', '.join(known)}" if known else "; it has none"
            raise ConfigError(f"{what} has no parameter {key!r}{suggestion(key, known)}{there}")
    signature = inspect.signature(factory).parameters
    for key in known:
        if key not in params and signature[key].default is inspect.Parameter.empty:
            raise ConfigError(f"{what} needs the parameter {key!r}; give it")


def call_with(what: str, factory: Callable[..., Any], params: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    """`factory` called with a person's parameters, and with those of the program's that it asks for.

    Raises:
        ConfigError: see `check_names`; or a value is out of its range.
    """
    check_names(what, factory, params, given)
    takes = settable(factory, ())
    try:
        return factory(**params, **{key: value for key, value in given.items() if key in takes})
    except ConfigError as error:
        raise ConfigError(f"{what}: {error}") from error


def params_from_text(items: Iterable[str], option: str) -> dict[str, Any]:
    """All `key=value` of a repeatable option; values are read as YAML: `2`, `0.5`, `[0.9, 0.8]`; yes and off are words.

    Raises:
        ConfigError: one is not of this form, or a key comes twice.
    """
    found: dict[str, Any] = {}
    for item in items:
        key, equals, text = item.partition("=")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = None
        if not equals or not key.isidentifier() or value is None:
            raise ConfigError(f"{option} {item!r}: expected key=value with a YAML value")
        if key in found:
            raise ConfigError(f"{option} {key}: given twice")
        found[key] = text if isinstance(value, bool) and text.lower() not in ("true", "false") else value
    return found


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


def flag(name: str, value: Any) -> bool:
    """`value` as true or false.

    Raises:
        ConfigError: neither; names the parameter.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{name}: expected true or false, got {value!r}")
    return value
