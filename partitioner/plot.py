"""Draws a `Picture`: bytes of every cut above, the time until there below.  Needs matplotlib, the `report` extra."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from PIL import Image

from bandits.report.palette import LIGHT
from bandits.report.plots.canvas import STYLE
from partitioner.picture import Picture
from split_core.errors import ConfigError
from split_core.files import write_atomically

INCHES = (10.8, 6.6)
DPI = 110
TICKS = 46  # block names that fit side by side
NAME = 31  # characters of one
SHADES = 96  # of a PNG: a third of the bytes, and no eye sees it
COLOURS = {"raw": LIGHT["cloud-only"], "u8": LIGHT["splitee"], "time": LIGHT["edge-only"], "chosen": LIGHT["ours"]}


def draw(picture: Picture, path: Path) -> None:
    """Write the drawing; the suffix says whether as SVG or as PNG.

    Raises:
        ConfigError: the file cannot be written.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=INCHES, layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        _draw_bytes(picture, above)
        _draw_time(picture, below)
        _mark_chosen(picture, above, below)
        _name_blocks(picture, below)
        figure.suptitle(f"{picture.name}: what crosses each cut, and when", x=0.01, ha="left", fontsize=13)
        lines = [line for words in picture.caption.splitlines() for line in textwrap.wrap(words, 150)]
        figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=8, color=LIGHT["muted"])
        data = _svg(figure) if path.suffix.lower() == ".svg" else _png(figure)
    try:
        write_atomically(path, data)
    except OSError as error:
        raise ConfigError(f"--plot {path}: cannot be written ({error.strerror})") from error


def _svg(figure: Figure) -> bytes:
    data = io.BytesIO()
    figure.savefig(data, format="svg", facecolor=LIGHT["card"], metadata={"Date": None})  # same figures, same bytes
    return data.getvalue()


def _png(figure: Figure) -> bytes:
    drawn, data = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI, facecolor=LIGHT["card"])
    with Image.open(drawn) as image:
        image.convert("RGB").quantize(SHADES).save(data, "PNG", optimize=True)
    return data.getvalue()


def _draw_bytes(picture: Picture, axes: Axes) -> None:
    places = range(1, len(picture.rows) + 1)
    size = 3.2 if len(picture.rows) < 120 else 1.6
    axes.plot(places, [row.row_bytes for row in picture.rows], ".-", color=COLOURS["raw"], ms=size, label="raw")
    axes.plot(
        places, [row.u8_bytes for row in picture.rows], ".-", color=COLOURS["u8"], ms=size, label="8 bits a value"
    )
    axes.set_yscale("log")
    for label, count, dashes in _levels(picture):
        axes.axhline(count, color=LIGHT["alert"], ls=dashes, lw=1.2, label=f"{label}, {written(count)}")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylabel("bytes of one sample")
    axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.06), ncols=4, borderaxespad=0, columnspacing=1.4)


def _levels(picture: Picture) -> list[tuple[str, int, str]]:
    """The network's input in its forms: label, bytes, dashes."""
    given = picture.given
    if given.pixels is None:
        return [("the input as it is", given.row_bytes, ":")]
    levels = [("the input's pixels", given.pixels, ":")]
    if given.jpeg is not None:
        count, of = given.jpeg
        median = f" (median of {of})" if of > 1 else ""
        levels.append((f"the input as JPEG at quality 90{median}", count, "--"))
    return levels


def _draw_time(picture: Picture, axes: Axes) -> None:
    progress, end = picture.progress, len(picture.rows) + 1
    times = [0.0, *progress.ms, progress.whole_ms]
    axes.plot(range(end + 1), times, "-", color=COLOURS["time"], lw=1.2)
    seen = [place for place, measured in enumerate(progress.measured, 1) if measured]
    axes.plot([*seen, end], [times[place] for place in (*seen, end)], ".", color=COLOURS["time"], ms=4)
    label = f"{progress.whole_ms:.3g} ms"
    axes.annotate(label, (end, times[-1]), xytext=(0, 6), textcoords="offset points", ha="right", fontsize=9)
    axes.set_ylabel("ms until there")
    axes.set_ylim(0, 1.2 * max(times))
    axes.set_xlim(0, end + 0.4)


def _mark_chosen(picture: Picture, above: Axes, below: Axes) -> None:
    for number, place in enumerate(picture.chosen, 1):
        row, at = picture.rows[place], place + 1
        for axes in (above, below):
            axes.axvline(at, color=COLOURS["chosen"], lw=0.9, alpha=0.55, zorder=1)
        above.plot([at, at], [row.row_bytes, row.u8_bytes], "o", color=COLOURS["chosen"], ms=5, zorder=4)
        below.plot([at], [picture.progress.ms[place]], "o", color=COLOURS["chosen"], ms=5, zorder=4)
        above.annotate(
            f"cut {number}" if number == 1 else str(number),
            (at, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            color=COLOURS["chosen"],
            fontsize=9,
        )


def _name_blocks(picture: Picture, axes: Axes) -> None:
    end = len(picture.rows) + 1
    names = ["input", *(row.block for row in picture.rows), "the end"]
    shown = named_places(names, [place + 1 for place in picture.chosen])
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.set_xticklabels([shortened(names[place]) for place in shown], rotation=55, ha="right", rotation_mode="anchor")
    axes.tick_params(axis="x", labelsize=8)
    chosen = {place + 1 for place in picture.chosen}
    for place, label in zip(shown, axes.get_xticklabels(), strict=True):
        label.set_color(COLOURS["chosen"] if place in chosen else LIGHT["muted"])
    axes.set_xlim(0, end + 0.4)


def named_places(names: Sequence[str], chosen: Sequence[int]) -> list[int]:
    """Which places get their names written: the chosen, then ends of blocks, large ones first, then what has room.

    Args:
        names: of all places; one inside a block has its operator in brackets.
        chosen: indices of those that are always named.
    """
    room = (len(names) - 1) / TICKS
    ends = sorted((place for place, name in enumerate(names) if "(" not in name), key=lambda k: names[k].count("."))
    shown: list[int] = []
    for place in dict.fromkeys((*chosen, 0, len(names) - 1, *ends, *range(len(names)))):
        if place in chosen or all(abs(place - other) >= room for other in shown):
            shown.append(place)
    return sorted(shown)


def shortened(name: str) -> str:
    """At most `NAME` characters: a long path loses its middle."""
    return name if len(name) <= NAME else f"{name[: NAME // 2].rstrip('.')}…{name[-(NAME // 2) + 1 :].lstrip('.')}"


def written(count: float) -> str:
    """`784 B`, `1.6 KB`, `20 MB`; a KB is 1,000 bytes."""
    for unit, size in (("MB", 1e6), ("KB", 1e3)):
        if count >= size:
            value = count / size
            return f"{value:.0f} {unit}" if value >= 100 or value == round(value) else f"{value:.3g} {unit}"
    return f"{count:.0f} B"
