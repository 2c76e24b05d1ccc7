"""Reading back what a policy saved.  A state comes from a file, so nothing in it is trusted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from split_core.errors import PolicyFileError


def check_same(state: Mapping[str, Any], key: str, expected: Any, policy: str) -> None:
    """Refuse a state whose `key` is not `expected`: it was saved by another policy.

    Raises:
        PolicyFileError: missing or different.
    """
    found = state.get(key)
    if found != expected or type(found) is not type(expected):
        raise PolicyFileError(
            f"saved state of policy {policy!r}: {key} is {_short(found)}, this policy has {_short(expected)}; "
            f"remove the saved state to start afresh"
        )


def section(state: Mapping[str, Any], key: str, policy: str) -> dict[str, Any]:
    """The mapping at `key`.

    Raises:
        PolicyFileError: missing, or no mapping.
    """
    found = state.get(key)
    if not isinstance(found, dict):
        raise PolicyFileError(f"saved state of policy {policy!r}: {key} must be a mapping, got {_short(found)}")
    return found


def numbers(state: Mapping[str, Any], key: str, count: int, policy: str, *, least: float = -math.inf) -> list[float]:
    """The `count` finite numbers at `key`, none below `least`.

    Raises:
        PolicyFileError: missing, another count, or something else than such numbers.
    """
    found = state.get(key)
    if not isinstance(found, list) or len(found) != count or not all(_fits(item, least) for item in found):
        raise PolicyFileError(
            f"saved state of policy {policy!r}: {key} must be {count} finite numbers{_bound(least)}, "
            f"got {_short(found)}"
        )
    return [float(item) for item in found]


def number(state: Mapping[str, Any], key: str, policy: str, *, least: float = -math.inf) -> float:
    """The one finite number at `key`, not below `least`.

    Raises:
        PolicyFileError: missing, or no such number.
    """
    found = state.get(key)
    if not _fits(found, least):
        raise PolicyFileError(
            f"saved state of policy {policy!r}: {key} must be a finite number{_bound(least)}, got {_short(found)}"
        )
    return float(found)  # type: ignore[arg-type]  # _fits has looked


def restore_generator(rng: np.random.Generator, state: Mapping[str, Any], policy: str) -> None:
    """Let `rng` draw on from what is at `generator`.

    Raises:
        PolicyFileError: not the state of this kind of generator.
    """
    try:
        rng.bit_generator.state = state["generator"]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise PolicyFileError(
            f"saved state of policy {policy!r}: generator is no state of "
            f"{type(rng.bit_generator).__name__} ({error}); remove the saved state to start afresh"
        ) from error


def _fits(value: Any, least: float) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value >= least


def _bound(least: float) -> str:
    return "" if least == -math.inf else f" of at least {least:g}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
