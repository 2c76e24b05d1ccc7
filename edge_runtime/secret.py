"""Words that stand in no configuration file, and in no message of ours."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from split_core.errors import ConfigError, reason


def is_secret(value: Any) -> bool:
    """Does the configuration say where it is, instead of what it is?"""
    return isinstance(value, dict)


def secret(name: str, value: Any) -> str:
    """What `{env: NAME}` or `{file: PATH}` holds, without white space around it.

    Raises:
        ConfigError: it is written out, or not there; names the place, never what is in it.
    """
    if not is_secret(value) or list(value) not in (["env"], ["file"]):
        raise ConfigError(f"{name}: expected {{env: NAME}} or {{file: PATH}}, so that no configuration holds it")
    (place,) = map(str, value.values())
    found = os.environ.get(place, "") if "env" in value else _content(name, place)
    if not found.strip() or len(found.split("\n")) > 1 + found.endswith("\n"):
        where = f"the environment variable {place}" if "env" in value else place
        raise ConfigError(f"{name}: {where} is absent, empty or of several lines; put the secret there, in one line")
    return found.strip()


def text(name: str, value: Any) -> str:
    """What is written, or what a secret place holds.

    Raises:
        ConfigError: neither; or as `secret`.
    """
    if isinstance(value, str) and value:
        return value
    if is_secret(value):
        return secret(name, value)
    raise ConfigError(f"{name}: expected a text, {{env: NAME}} or {{file: PATH}}")


def _content(name: str, place: str) -> str:
    try:
        return Path(place).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}: {place} cannot be read ({reason(error)}); expected a file of one line") from error
