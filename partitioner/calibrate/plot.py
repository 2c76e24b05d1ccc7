"""Draws a `Diagram`: accuracy against confidence above, counts below.  Needs matplotlib, the `report` extra."""

from __future__ import annotations

import io
import math
import textwrap
from html import escape
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator, PercentFormatter
from PIL import Image

from bandits.report.palette import LIGHT
from bandits.report.plots.canvas import STYLE
from partitioner.calibrate.diagram import DOUBT, Bins, Diagram, ExitDiagram
from partitioner.calibrate.reliability import BINS
from split_core.errors import ConfigError
from split_core.files import write_atomically

COLUMNS = 3  # of panels
PANEL_INCHES = (3.5, 3.7)
DPI = 130
SHADES = 96  # of a PNG: a third of the bytes, and no eye sees it
FEWEST = 10  # samples: a bin with fewer is drawn hollow
RAW, CALIBRATED = LIGHT["random"], LIGHT["cloud-only"]


def draw(diagram: Diagram, path: Path) -> None:
    """Write the drawing; the suffix, one of `diagram.KINDS`, says whether as SVG, as PNG or as a page.

    Raises:
        ConfigError: the file cannot be written.
    """
    kind = path.suffix.lower()
    with rc_context(STYLE):
        figure = drawn(diagram)
        data = _png(figure) if kind == ".png" else _svg(figure)
    try:
        write_atomically(path, _page(diagram, data.decode()).encode() if kind == ".html" else data)
    except OSError as error:
        raise ConfigError(f"--plot {path}: cannot be written ({error.strerror})") from error


def caption(diagram: Diagram) -> str:
    """What the drawing shows, in words."""
    return (
        f"{diagram.samples} samples that nothing was fitted on, {BINS} bins of equal width. Bars: {1 - DOUBT:.0%} "
        f"interval of the accuracy; hollow: fewer than {FEWEST} samples. Above the diagonal an exit is better than it "
        f"says, below it is worse."
    )


def drawn(diagram: Diagram) -> Figure:
    """One panel per exit."""
    columns = min(COLUMNS, len(diagram.exits))
    rows = math.ceil(len(diagram.exits) / columns)
    figure = Figure(figsize=(PANEL_INCHES[0] * columns, PANEL_INCHES[1] * rows + 0.9), layout="constrained")
    grid = figure.subplots(2 * rows, columns, sharex=True, squeeze=False, gridspec_kw={"height_ratios": (3, 1) * rows})
    for place in range(rows * columns):
        row, column = divmod(place, columns)
        above, below = grid[2 * row][column], grid[2 * row + 1][column]
        if place < len(diagram.exits):
            _draw_exit(diagram.exits[place], place + 1, above, below, first=column == 0)
        else:
            above.set_axis_off()
            below.set_axis_off()
    figure.suptitle(f"{diagram.name}: is each exit as often right as it says?", x=0.01, ha="left", fontsize=13)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=3)
    words = "\n".join(["confidence", "", *textwrap.wrap(caption(diagram), 46 * columns)])
    figure.supxlabel(words, fontsize=9, color=LIGHT["muted"])
    return figure


def _draw_exit(exit_diagram: ExitDiagram, number: int, above: Axes, below: Axes, *, first: bool) -> None:
    raw, calibrated = exit_diagram.raw, exit_diagram.calibrated
    above.plot([0, 1], [0, 1], "--", color=LIGHT["muted"], lw=0.9, label="as sure as right")
    _draw_bins(raw, above, colour=RAW, label="raw", marker="s")
    _draw_bins(calibrated, above, colour=CALIBRATED, label="calibrated", marker="o")
    ece = f"{raw.ece:.4f} → {calibrated.ece:.4f}" if raw.ece != calibrated.ece else f"{raw.ece:.4f}, left as it is"
    above.set_title(f"exit {number}   ECE {ece}")
    above.set_ylim(-0.02, 1.04)
    above.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    for bins, colour, shift in ((raw, RAW, -1), (calibrated, CALIBRATED, 1)):
        _draw_counts(bins, below, colour, shift)
    below.set_xlim(0, 1)
    below.xaxis.set_major_locator(FixedLocator([0.0, 0.25, 0.5, 0.75, 1.0]))
    below.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    below.tick_params(axis="x", labelbottom=True)
    if first:
        above.set_ylabel("right")
        below.set_ylabel("samples")


def _draw_bins(bins: Bins, axes: Axes, *, colour: str, label: str, marker: str) -> None:
    style: dict[str, Any] = {"color": colour, "lw": 1.3}
    few = bins.count < FEWEST
    axes.vlines(bins.confidence, bins.low, bins.high, color=colour, lw=1.0, alpha=0.55)
    # No line to a bin that may be anywhere.
    axes.plot(bins.confidence[~few], bins.accuracy[~few], "-", marker=marker, ms=4.5, label=label, **style)
    axes.plot(bins.confidence[few], bins.accuracy[few], marker, ms=4.5, mfc=LIGHT["card"], mec=colour, zorder=4)


def _draw_counts(bins: Bins, axes: Axes, colour: str, shift: int) -> None:
    """Two bars side by side in every bin, on a scale on which one sample is seen beside thousands."""
    places = [min(int(confidence * BINS), BINS - 1) for confidence in bins.confidence]
    axes.bar([(place + 0.5 + 0.2 * shift) / BINS for place in places], bins.count, 0.38 / BINS, color=colour)
    axes.set_yscale("log")
    axes.set_ylim(0.7, 10 ** math.ceil(math.log10(max(bins.count.max(), axes.get_ylim()[1], 10))))
    axes.yaxis.set_major_locator(FixedLocator([1, 10, 100, 1000, 10_000, 100_000]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_minor_locator(NullLocator())


def _svg(figure: Figure) -> bytes:
    data = io.BytesIO()
    figure.savefig(data, format="svg", facecolor=LIGHT["card"], metadata={"Date": None})  # same figures, same bytes
    return data.getvalue()


def _png(figure: Figure) -> bytes:
    picture, data = io.BytesIO(), io.BytesIO()
    figure.savefig(picture, format="png", dpi=DPI, facecolor=LIGHT["card"])
    with Image.open(picture) as image:
        image.convert("RGB").quantize(SHADES).save(data, "PNG", optimize=True)
    return data.getvalue()


def _page(diagram: Diagram, drawing: str) -> str:
    title = escape(f"{diagram.name}: reliability of every exit")
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    style = "<style>body{font:16px sans-serif;max-width:72rem;margin:2rem auto}svg{width:100%;height:auto}</style>"
    body = f"{drawing[drawing.index('<svg') :]}{_table(diagram)}"
    return f'<!doctype html><html lang="en"><head>{head}{style}</head><body>{body}</body></html>\n'


def _table(diagram: Diagram) -> str:
    """The calibrated bins in figures, for who cannot see the drawing."""
    rows = [
        f"<tr><td>{number}<td>{count}<td>{confidence:.3f}<td>{accuracy:.3f}<td>{low:.3f} to {high:.3f}"
        for number, one in enumerate(diagram.exits, 1)
        for count, confidence, accuracy, low, high in zip(
            *(one.calibrated.count, one.calibrated.confidence, one.calibrated.accuracy),
            *(one.calibrated.low, one.calibrated.high),
            strict=True,
        )
    ]
    head = "<tr><th>exit<th>samples<th>confidence<th>right<th>interval"
    return f"<details><summary>In figures, calibrated</summary><table>{head}{''.join(rows)}</table></details>"
