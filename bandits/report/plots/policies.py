"""Policies drawn: accuracy against cost, and cumulative regret."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from bandits.report.figures import fixed
from bandits.report.names import OURS, TRIVIAL, in_reading_order, mark_of
from bandits.report.palette import LIGHT
from bandits.report.result import Curve, Figures, Row, Run, finite

# More points than these cannot be told apart on a screen, and the page has to stay under a megabyte.
POINTS_PER_LINE = 240
UPWARDS = "\u2191"  # at the end of a name: its line has left the picture at the top


Span = tuple[float, float]


def spans_of(runs: Iterable[Run]) -> tuple[Span, Span]:
    """Costs and accuracies (in per cent) to be shown, so that panels beside each other share their axes."""
    rows = [row for run in runs for row in run.policies]
    places = [_place(each) for row in rows for each in (row, row.replayed) if each is not None]
    known = [place for place in places if np.isfinite(place).all()] or [(1.0, 0.0), (2.0, 100.0)]
    costs, accuracies = zip(*known, strict=True)
    return _padded(costs), _padded(accuracies)


def _padded(values: Sequence[float]) -> Span:
    low, high = min(values), max(values)
    room = 0.08 * (high - low) or 0.5
    # Costs are positive; half the lowest keeps a wide span fit for a logarithmic axis.
    return (max(low - room, low / 2) if low > 0.0 else low - room), high + room


def draw_accuracy_cost(run: Run, spans: tuple[Span, Span], axes: Axes) -> None:
    """Every policy as a symbol: filled where it ran live, hollow where it was replayed, joined where both."""
    for name in reversed(in_reading_order(row.name for row in run.policies)):
        for row in run.policies:
            if row.name == name:
                _draw_row(row, axes)
    low, high = spans[0]
    if 0.0 < low < high / 8:  # else the cheap policies, the ones to compare, fall on one spot
        axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_ylim(*spans[1])
    axes.set_xlabel("mean cost per frame (cheaper to the left)")
    axes.set_ylabel("accuracy, %")


def _draw_row(row: Row, axes: Axes) -> None:
    if row.live and row.replayed is not None:
        pair = [_place(row), _place(row.replayed)]
        axes.plot(*zip(*pair, strict=True), color=LIGHT[mark_of(row.name).colour], linewidth=0.8, zorder=2)
        _draw_symbol(row.name, pair[1], "card", axes)
    _draw_symbol(row.name, _place(row), mark_of(row.name).colour if row.live else "card", axes)


def _place(figures: Figures) -> tuple[float, float]:
    cost, accuracy = finite([figures.mean_cost, figures.accuracy])
    return cost, 100.0 * accuracy


def _draw_symbol(name: str, place: tuple[float, float], fill: str, axes: Axes) -> None:
    axes.plot(*[[coordinate] for coordinate in place], linestyle="none", zorder=3, **_symbol(name, fill))


def _symbol(name: str, fill: str) -> dict[str, Any]:
    mark = mark_of(name)
    return {
        "marker": mark.marker,
        "markersize": 14 if name == OURS else 8,
        "markerfacecolor": LIGHT[fill],
        "markeredgecolor": LIGHT[mark.colour],
        "markeredgewidth": 1.6,
    }


def policy_key(names: Sequence[str]) -> list[Line2D]:
    """Legend entries: one per policy, then what filled and hollow mean."""
    entries = [
        Line2D([], [], linestyle="none", label=mark_of(name).label, **_symbol(name, mark_of(name).colour))
        for name in in_reading_order(names)
    ]
    return [
        *entries,
        _ring("filled: live", LIGHT["muted"]),
        _ring("hollow: replayed", LIGHT["card"]),
    ]


def _ring(label: str, fill: str) -> Line2D:
    edge = LIGHT["muted"]
    return Line2D([], [], linestyle="none", marker="o", markerfacecolor=fill, markeredgecolor=edge, label=label)


def draw_regret(curves: Mapping[str, Curve], axes: Axes) -> None:
    """Cumulative regret per policy, each line named at its right end with where it ended."""
    ends: dict[str, float] = {}
    for name in in_reading_order(name for name in curves if curves[name].frame):
        frame, regret = thinned(curves[name].frame), thinned(finite(curves[name].regret))
        mark = mark_of(name)
        width = 2.8 if name == OURS else 1.6
        axes.plot(frame, regret, color=LIGHT[mark.colour], linestyle=mark.dash, linewidth=width)
        ends[name] = regret[-1]
    ends = {name: end for name, end in ends.items() if np.isfinite(end)}
    axes.set_xlabel("frame")
    axes.set_ylabel("cumulative regret")
    axes.margins(x=0)
    axes.set_ylim(*regret_limits(ends, axes))
    name_ends(ends, axes)


def regret_limits(ends: Mapping[str, float], axes: Axes) -> tuple[float, float]:
    """All lines, unless a trivial policy would press those that learn flat; then its line leaves at the top."""
    low, high = axes.get_ylim()
    learning = [end for name, end in ends.items() if name not in TRIVIAL]
    wanted = 1.8 * max(learning, default=0.0)
    return (max(low, -0.1 * wanted), wanted) if 0.0 < wanted < high / 2 else (low, high)


def name_ends(ends: Mapping[str, float], axes: Axes) -> None:
    """Name every line at its right end, with where it ended, moved apart where they meet."""
    low, high = axes.get_ylim()
    shares = [(end - low) / (high - low) for end in ends.values()]
    heights = spread(shares, gap=0.066, ceiling=1.0)
    for (name, end), share, height in zip(ends.items(), shares, heights, strict=True):
        mark = mark_of(name)
        axes.annotate(
            f"{mark.short} {fixed(end, 0 if abs(end) >= 100 else 1)}{' ' + UPWARDS if share > 1.0 else ''}",
            xy=(1.0, share) if share <= 1.0 else (1.04, height),
            xytext=(1.06, height),
            xycoords="axes fraction",
            textcoords="axes fraction",
            color=LIGHT[mark.colour],
            fontsize=9,
            fontweight="bold" if name == OURS else "normal",
            va="center",
            arrowprops=_leader(LIGHT[mark.colour]),
        )


def _leader(colour: str) -> dict[str, Any]:
    return {"arrowstyle": "-", "color": colour, "linewidth": 0.7, "relpos": (0, 0.5), "shrinkA": 1, "shrinkB": 0}


def spread(values: Sequence[float], gap: float, ceiling: float) -> list[float]:
    """`values` moved as little as keeps them `gap` apart and below `ceiling`, in their own order."""
    placed = list(values)
    order = sorted(range(len(placed)), key=placed.__getitem__)
    for below, above in itertools.pairwise(order):
        placed[above] = max(placed[above], placed[below] + gap)
    for index in reversed(order):
        placed[index] = min(placed[index], ceiling)
        ceiling = placed[index] - gap
    return placed


def thinned(values: Sequence[float], limit: int = POINTS_PER_LINE) -> list[float]:
    """At most `limit` of `values`, evenly spaced, first and last among them."""
    if len(values) <= limit:
        return list(values)
    places = np.linspace(0, len(values) - 1, limit).round().astype(int)
    return [values[place] for place in places]
