"""Exits drawn: where frames were answered over time, and how well each exit is calibrated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from bandits.report.palette import LIGHT, shade
from bandits.report.result import Exit, Shares, finite


def draw_shares(shares: Shares, axes: Axes) -> None:
    """Stacked areas, first exit at the bottom, offloads on top and hatched."""
    heights = 100.0 * np.nan_to_num(np.array([finite(window) for window in shares.share])).T
    exits = len(heights) - 1
    colours = [LIGHT[shade(number, exits)] for number in range(1, exits + 1)] + [LIGHT["offload"]]
    areas = axes.stackplot(shares.frame, heights, colors=colours, edgecolor=LIGHT["card"], linewidth=0.5)
    areas[-1].set_hatch("////")
    axes.set_xlim(shares.frame[0], shares.frame[-1])
    axes.set_ylim(0, 100)
    axes.set_xlabel("frame")
    axes.set_ylabel("share of frames, %")
    axes.legend(handles=_share_key(colours), loc="upper left", bbox_to_anchor=(1.0, 1.02), handlelength=1.2)


def _share_key(colours: Sequence[str]) -> list[Patch]:
    names = [*(f"exit {number}" for number in range(1, len(colours))), "offload"]
    edge = LIGHT["card"]
    key = [Patch(facecolor=fill, edgecolor=edge, label=name) for name, fill in zip(names, colours, strict=True)]
    key[-1].set_hatch("////")
    return key[::-1]  # top of the stack first


def draw_calibration(exits: Sequence[Exit], axes: Axes) -> None:
    """Expected calibration error per exit, hollow before and filled after."""
    numbers = [each.exit for each in exits]
    before = 100.0 * np.array(finite([each.ece_before for each in exits]))
    after = 100.0 * np.array(finite([each.ece_after for each in exits]))
    axes.vlines(numbers, before, after, color=LIGHT["muted"], linewidth=1)
    ring: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 8, "markeredgewidth": 1.6}
    blue = LIGHT["cloud-only"]
    axes.plot(numbers, before, label="before", markerfacecolor=LIGHT["card"], markeredgecolor=LIGHT["muted"], **ring)
    axes.plot(numbers, after, label="after calibration", markerfacecolor=blue, markeredgecolor=blue, **ring)
    axes.set_ylim(bottom=0)
    axes.margins(0.12)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("exit")
    axes.set_ylabel("calibration error, %")
    axes.legend(loc="best", ncol=1)
