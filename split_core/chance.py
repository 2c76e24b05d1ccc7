"""A probability, or how to work it out later: it may be an integral, which no frame should wait for."""

from __future__ import annotations

from collections.abc import Callable

Chance = float | Callable[[], float]


def probability(chance: Chance) -> float:
    """As a number; where it was left for later, worked out at every call."""
    return chance() if callable(chance) else chance
