"""How figures are written: one spelling for the terminal, the README and the page."""

from __future__ import annotations

from collections.abc import Sequence

MISSING = "\u2013"  # en dash
MINUS = "\u2212"


def fixed(value: float | None, decimals: int) -> str:
    """`value` with thousands separators; a dash when nothing was measured."""
    return MISSING if value is None else f"{value:,.{decimals}f}".replace("-", MINUS)


def count(value: float | None) -> str:
    """A whole number."""
    return fixed(value, 0)


def percent(share: float | None, decimals: int = 1) -> str:
    """A share in [0, 1] as a number of per cent, without the sign."""
    return fixed(None if share is None else 100.0 * share, decimals)


def cost(value: float | None) -> str:
    """A cost, in units of the objective: four decimals where two would say nothing."""
    return fixed(value, 4 if value is not None and abs(value) < 1.0 else 2)


def shares(values: Sequence[float | None] | None) -> str:
    """Shares per exit in per cent, first exit first."""
    return MISSING if not values else "/".join(percent(value, 0) for value in values)


def relative(value: float | None, base: float | None) -> float | None:
    """How much `value` exceeds `base`, as a share of `base`; None where that has no meaning."""
    return None if value is None or not base else value / base - 1.0


def more_or_less(change: float | None, more: str = "more", less: str = "less") -> str:
    """`"12.3 % less"` for -0.123."""
    if change is None:
        return MISSING
    if abs(change) < 0.0005:
        return "the same"
    return f"{percent(abs(change))} % {more if change > 0 else less}"


def plain(value: object) -> str:
    """Any value of a free-form mapping, for the footer."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {plain(inner)}" for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(inner) for inner in value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return MISSING if value is None else str(value)
