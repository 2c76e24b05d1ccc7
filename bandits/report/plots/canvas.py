"""All drawings of a report: as SVG that the page can theme, and as PNG for a README."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from bandits.report import svg
from bandits.report.names import mark_of
from bandits.report.palette import LIGHT
from bandits.report.plots.exits import draw_calibration, draw_shares
from bandits.report.plots.outage import draw_outage
from bandits.report.plots.policies import draw_accuracy_cost, draw_regret, policy_key, spans_of
from bandits.report.result import Result, Series, SeriesRun, Ship
from split_core.files import write_atomically

# Any: older matplotlib types the keys as str, newer ones as a list of literals.
STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: selectable, searchable, in the page's font
    "svg.hashsalt": "offramp",  # the same result gives the same bytes
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "text.color": LIGHT["ink"],
    "axes.labelcolor": LIGHT["ink"],
    "axes.edgecolor": LIGHT["muted"],
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "grid.color": LIGHT["rule"],
    "grid.linewidth": 0.7,
    "xtick.color": LIGHT["muted"],
    "ytick.color": LIGHT["muted"],
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.6,
    "figure.facecolor": "none",
}

PANEL_INCHES = (5.4, 3.7)
WIDE_INCHES = (10.8, 3.9)
SHIPS = {"any": "anything may be shipped", "hidden": "only hidden states may be shipped"}


@dataclass(frozen=True, slots=True)
class Drawing:
    """One plot of the page, not drawn yet.

    Attributes:
        name: key of the drawing, and prefix of its ids.
        title: what a screen reader says first.
        description: what the plot shows.
        size_inches: width and height.
        draw: fills the axes.
    """

    name: str
    title: str
    description: str
    size_inches: tuple[float, float]
    draw: Callable[[Axes], None]


def drawings(result: Result, series: Series) -> dict[str, str]:
    """Every plot of the page as an inline `<svg>` element, by name.

    Names are `cost_any`, `regret_any`, `shares_any`, the same for `hidden`, `calibration` and `outage`; a plot
    that has no data is left out.
    """
    with rc_context(STYLE):
        return {drawing.name: _inline(drawing) for drawing in _planned(result, series)}


def pictures(result: Result, series: Series, directory: Path) -> list[Path]:
    """Write accuracy_cost.png and outage.png to `directory`, for a README; returns their paths.

    Raises:
        OSError: the directory cannot be written.
    """
    with rc_context(STYLE):
        drawn = {"accuracy_cost.png": _cost_picture(result), "outage.png": _outage_picture(series)}
    for name, data in drawn.items():
        write_atomically(directory / name, data)
    return [directory / name for name in drawn]


def _planned(result: Result, series: Series) -> Iterator[Drawing]:
    for name in result.runs:
        yield _cost_drawing(name, result)
    for name, lines in series.runs.items():
        yield from _over_time(name, lines)
    if result.exits:
        words = "Expected calibration error of each exit before and after calibration; the table has the figures."
        draw = partial(draw_calibration, result.exits)
        yield Drawing("calibration", "Calibration error per exit", words, (5.4, 3.0), draw)
    words = "One dot per frame: its latency over time and who answered; the faults of the worker are shaded."
    draw = partial(draw_outage, series.outage)
    yield Drawing("outage", "Latency through the outage", words, WIDE_INCHES, draw)


def _cost_drawing(name: Ship, result: Result) -> Drawing:
    where = SHIPS[name]
    words = f"Every policy by mean cost per frame and accuracy; {where}. The table below has the same figures."
    return Drawing(
        f"cost_{name}", f"Accuracy against cost, {where}", words, (5.4, 4.9), partial(_cost_panel, name, result)
    )


def _over_time(name: str, lines: SeriesRun) -> Iterator[Drawing]:
    where = SHIPS[name]
    if lines.regret:
        words = f"Cumulative regret against the best fixed arm, per policy, over the stream; {where}."
        draw = partial(draw_regret, lines.regret)
        yield Drawing(f"regret_{name}", f"Cumulative regret, {where}", words, PANEL_INCHES, draw)
    if lines.exits and lines.exits.frame:
        shown = mark_of(lines.exits.policy).label
        words = f"Share of frames that {shown} answered at each exit, or offloaded, over time; {where}."
        shares = partial(draw_shares, lines.exits)
        yield Drawing(f"shares_{name}", f"Share of exits over time, {where}", words, PANEL_INCHES, shares)


def _cost_panel(name: Ship, result: Result, axes: Axes) -> None:
    draw_accuracy_cost(result.runs[name], spans_of(result.runs.values()), axes)
    # Below the axes: a legend inside would hide points, and where the points will be nobody knows.
    key = policy_key(_names(result))
    axes.legend(handles=key, loc="upper left", bbox_to_anchor=(-0.12, -0.17), ncol=2, columnspacing=1.2)


def _names(result: Result) -> list[str]:
    return [row.name for run in result.runs.values() for row in run.policies]


def _inline(drawing: Drawing) -> str:
    canvas = Canvas(figsize=drawing.size_inches, layout="constrained")
    drawing.draw(canvas.add_subplot())
    file = io.StringIO()
    canvas.savefig(file, format="svg")
    return svg.inline(file.getvalue(), name=drawing.name, title=drawing.title, description=drawing.description)


def _cost_picture(result: Result) -> bytes:
    canvas = Canvas(figsize=(10.8, 5.2), layout="constrained")
    panels = canvas.subplots(1, len(result.runs), squeeze=False)[0]
    for axes, (name, run) in zip(panels, result.runs.items(), strict=True):
        draw_accuracy_cost(run, spans_of(result.runs.values()), axes)
        axes.set_title(f"ship: {name} ({SHIPS[name]})")
    canvas.legend(handles=policy_key(_names(result)), loc="outside lower center", ncol=4)
    return _png(canvas)


def _outage_picture(series: Series) -> bytes:
    canvas = Canvas(figsize=WIDE_INCHES, layout="constrained")
    draw_outage(series.outage, canvas.add_subplot())
    return _png(canvas)


def _png(canvas: Canvas) -> bytes:
    file = io.BytesIO()
    canvas.savefig(file, format="png", dpi=144, facecolor=LIGHT["card"])
    return file.getvalue()
