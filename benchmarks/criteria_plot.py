"""Accuracy against compute, a panel per kind of criterion; the others are grey behind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = {
    "one exit's probabilities": ("max_prob", "entropy", "margin", "energy", "exit_share"),
    "exits that agree": ("patience", "patience_entropy", "vote", "vote_or_unknown"),
    "exits together": ("geometric_ensemble", "most_confident", "past_future", "gates", "cascade"),
    "hidden states": ("similarity", "similarity_patience", "learned", "q_exit"),
}
GREY, BELOW, AROUND = "0.85", 9.0, 0.8  # points: shown below the whole network at most, and left free


def draw(figures: dict[str, Any], path: Path) -> None:
    """All curves in one picture.

    Args:
        figures: of `compared`; may have `networks`, smaller ones: name to `compute` and `accuracy`.
        path: of the picture.
    """
    from matplotlib.figure import Figure

    panels = {title: [name for name in names if name in figures["curves"]] for title, names in PANELS.items()}
    figure = Figure(figsize=(11, 8), layout="constrained")
    grid = figure.subplots(2, 2, sharex=True, sharey=True)
    for axes, (title, names) in zip(grid.flat, panels.items(), strict=True):
        _behind(axes, figures)
        for place, name in enumerate(names):
            axes.plot(*_line(figures["curves"][name]), color=f"C{place}", lw=1.8, label=name)
        axes.set_title(title, fontsize=11)
        axes.legend(fontsize=9, loc="lower right", frameon=False)
    grid[0, 0].set_ylim(_limits(figures))
    grid[0, 0].set_xlim(right=104)
    figure.supxlabel("mean compute, % of the whole network")
    figure.supylabel("accuracy, %")
    figure.savefig(path, dpi=110)


def _limits(figures: dict[str, Any]) -> tuple[float, float]:
    """Accuracies between which everything happens, but for what is far below the whole network."""
    others = figures.get("networks", {}).values()
    shown = [*figures["single exits"], *others, *(point for curve in figures["curves"].values() for point in curve)]
    accuracies = [100 * point["accuracy"] for point in shown]
    full = 100 * figures["single exits"][-1]["accuracy"]
    return max(min(accuracies) - AROUND, full - BELOW), max(accuracies) + AROUND


def _behind(axes: Axes, figures: dict[str, Any]) -> None:
    """What every panel shows: all curves in grey, each exit alone, smaller networks, and the goal."""
    for points in figures["curves"].values():
        axes.plot(*_line(points), color=GREY, lw=1)
    axes.plot(*_line(figures["single exits"]), "ks", ms=5, zorder=3)
    x, y = _line(figures["single exits"])
    axes.annotate("each exit alone", (x[-2], y[-2]), (0, -14), textcoords="offset points", fontsize=8, ha="center")
    for name, network in figures.get("networks", {}).items():
        x, y = 100 * network["compute"], 100 * network["accuracy"]
        axes.plot(x, y, "k^", ms=8, mfc="white", zorder=4)
        axes.annotate(f"{name}, no exits", (x, y), (0, 8), textcoords="offset points", fontsize=8, ha="center")
    goal = 100 * (figures["single exits"][-1]["accuracy"] - figures["most lost"])
    axes.axhline(goal, color="k", lw=0.8, ls=":")
    axes.axvline(50, color="k", lw=0.8, ls=":")


def _line(points: list[dict[str, Any]]) -> tuple[list[float], list[float]]:
    """Percent of compute and of accuracy, from left to right."""
    ordered = sorted(points, key=lambda point: point["compute"])
    return [100 * point["compute"] for point in ordered], [100 * point["accuracy"] for point in ordered]
