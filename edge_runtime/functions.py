"""Python functions that a person names in a camera's configuration."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from split_core.errors import ConfigError
from split_core.registry import resolve


def function_at(what: str, location: Any) -> Callable[..., Any]:
    """The function at `package.module:function`, looked for in the working directory too.

    Args:
        what: the setting, for messages.
        location: as it was written.

    Raises:
        ConfigError: there is no such function.
        MissingExtra: the module, or one that it imports, is not installed.
    """
    module, _, name = str(location).partition(":")
    if not module or not name:
        raise ConfigError(f"{what}: expected package.module:function, got {location!r}")
    before = list(sys.path)
    sys.path.insert(0, os.getcwd())
    try:
        found = resolve(str(location), what)
    except AttributeError as error:
        raise ConfigError(f"{what}: {module} has no {name!r}") from error
    finally:
        sys.path[:] = before
    if not callable(found):
        raise ConfigError(f"{what}: {location} is no function")
    function: Callable[..., Any] = found
    return function
