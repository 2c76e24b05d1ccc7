"""A comparison drawn: regret with bands over the seeds and the phases of the stream, and loss against accuracy."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import LogLocator, NullFormatter

from bandits.report import svg
from bandits.report.names import OURS, in_reading_order, mark_of
from bandits.report.palette import LIGHT
from bandits.report.plots.canvas import STYLE
from bandits.report.plots.policies import name_ends, regret_limits
from split_core.files import write_atomically

SIZE_INCHES = (10.8, 4.6)
Answer = Mapping[str, Any]  # of `bandits.answers.answer`


@dataclass(frozen=True, slots=True)
class Titles:
    """What is written above a picture and told who cannot see it."""

    title: str
    description: str


def picture(answers: Mapping[str, Answer], titles: Titles, path: Path) -> Path:
    """Write every cost model's panels to `path`, as PNG or SVG by its ending."""
    kind = path.suffix.lower().lstrip(".") or "png"
    with rc_context(STYLE):
        canvas = Canvas(figsize=(SIZE_INCHES[0], SIZE_INCHES[1] * len(answers)), layout="constrained")
        for row, (name, answer) in zip(canvas.subfigures(len(answers), 1, squeeze=False), answers.items(), strict=True):
            _draw(answer, f"{titles.title}; {name} costs", row[0].subplots(1, 2, width_ratios=(1.25, 1.0)))
        file = io.BytesIO()
        canvas.savefig(file, format=kind, dpi=100, facecolor=LIGHT["card"])
    write_atomically(path, file.getvalue())
    return path


def drawing(answer: Answer, titles: Titles, name: str) -> str:
    """The same of one cost model as an inline `<svg>` element whose ids begin with `name`."""
    with rc_context(STYLE):
        canvas = Canvas(figsize=SIZE_INCHES, layout="constrained")
        _draw(answer, "", canvas.subplots(1, 2, width_ratios=(1.25, 1.0)))
        file = io.StringIO()
        canvas.savefig(file, format="svg")
    return svg.inline(file.getvalue(), name=name, title=titles.title, description=titles.description)


def _draw(answer: Answer, title: str, panels: Sequence[Axes]) -> None:
    _draw_regret(answer, panels[0])
    _draw_losses(answer["rows"], panels[1])
    panels[0].set_title(title)


def _draw_regret(answer: Answer, axes: Axes) -> None:
    """Lines with their band; a dotted line where a phase of the stream begins."""
    curves = answer["regret"]
    ends: dict[str, float] = {}
    for name in in_reading_order(curves):
        curve, mark = curves[name], mark_of(name)
        colour, width = LIGHT[mark.colour], 2.8 if name == OURS else 1.6
        axes.fill_between(curve["frame"], curve["low"], curve["high"], color=colour, alpha=0.12, linewidth=0)
        axes.plot(curve["frame"], curve["regret"], color=colour, linestyle=mark.dash, linewidth=width)
        ends[name] = curve["regret"][-1]
    axes.set_xlabel("frame")
    axes.set_ylabel("cumulative regret")
    axes.margins(x=0)
    axes.set_ylim(*regret_limits(ends, axes))
    _draw_phases(answer["phases"], axes)
    name_ends(ends, axes)


def _draw_phases(phases: Sequence[Mapping[str, Any]], axes: Axes) -> None:
    start = 0
    for phase in phases:
        if start:
            axes.axvline(start, color=LIGHT["muted"], linewidth=0.9, linestyle=":")
        if phase["name"]:
            where = axes.get_xaxis_transform()
            axes.text(start, 0.99, f" {phase['name']}", fontsize=8, color=LIGHT["muted"], va="top", transform=where)
        start += phase["frames"]


def _draw_losses(rows: Sequence[Mapping[str, Any]], axes: Axes) -> None:
    """Mean loss over that of the best fixed arm, cheapest on top, with the band over the seeds."""
    known = sorted((row for row in rows if row.get("band") and row["loss_ratio"]), key=lambda row: -row["loss_ratio"])
    for place, row in enumerate(known):
        mark, (low, high) = mark_of(row["name"]), row["band"]["loss_ratio"]
        axes.plot([low, high], [place, place], color=LIGHT[mark.colour], linewidth=2)
        axes.plot([row["loss_ratio"]], [place], marker=mark.marker, color=LIGHT[mark.colour], markersize=8)
    axes.axvline(1.0, color=LIGHT["best-fixed"], linewidth=1.2, linestyle=(0, (8, 2, 1, 2)))
    axes.set_yticks(range(len(known)), [mark_of(row["name"]).short for row in known])
    if known and known[0]["loss_ratio"] > 4.0:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("loss over that of the best fixed arm in hindsight")
