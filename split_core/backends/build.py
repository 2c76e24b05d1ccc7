"""Backends by name with their options, as configuration files and command lines give them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from split_core.backends import BACKENDS
from split_core.backends.base import Backend
from split_core.errors import ConfigError
from split_core.registry import suggestion


def option_names(name: str) -> list[str]:
    """Options that a file may set for backend `name`; keyword-only parameters are not for files.

    Raises:
        ConfigError: no such backend.
        MissingExtra: a library that it needs is not installed.
    """
    parameters = inspect.signature(BACKENDS.load(name)).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]


def make_backend(name: str, options: Mapping[str, Any]) -> Backend:
    """The backend `name` of `BACKENDS` with `options`.

    Raises:
        ConfigError: no such backend or option (with the nearest known one), or a value out of its range.
        MissingExtra: a library that it needs is not installed.
        BackendError: it cannot work on this machine.
    """
    known = option_names(name)
    for key in options:
        if key not in known:
            there = f"; there are: {', '.join(known)}"
            raise ConfigError(f"backend {name!r} has no option {key!r}{suggestion(key, known)}{there}")
    try:
        backend: Backend = BACKENDS.load(name)(**options)
    except ConfigError as error:
        raise ConfigError(f"backend {name!r}: {error}") from error
    return backend


def options_from(items: Iterable[str]) -> dict[str, Any]:
    """`precision=fp16` items of a command line; values are YAML, but on, off, yes and no are words.

    Raises:
        ConfigError: no `key=value`, or no YAML.
    """
    options = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not key or not equals:
            raise ConfigError(f"--backend-option {item!r}: expected key=value, for example precision=fp16")
        try:
            parsed = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"--backend-option {item!r}: {value!r} is not a YAML value") from error
        options[key] = value if isinstance(parsed, bool) and value.lower() not in ("true", "false") else parsed
    return options
