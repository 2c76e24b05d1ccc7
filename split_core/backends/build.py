"""Backends by name with their options, as configuration files and command lines give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from split_core.backends import BACKENDS
from split_core.backends.base import Backend
from split_core.params import call_with, check_names, settable

# Stand in for a library where there is none; not for files.
GIVEN = frozenset({"trt", "cuda"})


def option_names(name: str) -> list[str]:
    """Options that a file may set for backend `name`.

    Raises:
        ConfigError: no such backend.
        MissingExtra: a library that it needs is not installed.
    """
    return settable(BACKENDS.load(name), GIVEN)


def make_backend(name: str, options: Mapping[str, Any]) -> Backend:
    """The backend `name` of `BACKENDS` with `options`.

    Raises:
        ConfigError: no such backend or option (with the nearest known one), or a value out of its range.
        MissingExtra: a library that it needs is not installed.
        BackendError: it cannot work on this machine.
    """
    what, factory = f"backend {name!r}", BACKENDS.load(name)
    check_names(what, factory, options, GIVEN)
    backend: Backend = call_with(what, factory, options, {})
    return backend
