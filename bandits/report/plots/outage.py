"""The outage drawn: every frame's latency, the faults of the worker, and the cloud's return."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from bandits.report.names import fault_word
from bandits.report.palette import LIGHT
from bandits.report.result import Dots, Fault, OutageSeries, finite
from split_core.tensors import FloatArray

# Each dot is some 100 bytes of SVG; degraded and late ones are never left out.
DOTS_PER_KIND = 1200

# kind -> marker, colour, name in the legend
KINDS = {
    "edge": ("o", "splitee", "answered on the device"),
    "cloud": ("^", "cloud-only", "answered by the cloud"),
    "degraded": ("x", "alert", "degraded: the device's best guess"),
}


def draw_outage(outage: OutageSeries, axes: Axes) -> None:
    """Dots by who answered, a line at the deadline, shaded faults, a mark where the cloud is used again."""
    for kind in dict.fromkeys(outage.frames.kind):
        _draw_kind(kind, outage, axes)
    top = _top_ms(outage)
    axes.set_ylim(0, top)
    axes.margins(x=0.01)
    for fault in outage.faults:
        _draw_fault(fault, top, axes)
    if outage.deadline_ms is not None:
        label = f"deadline, {outage.deadline_ms:g} ms"
        axes.axhline(outage.deadline_ms, color=LIGHT["alert"], linewidth=1.4, linestyle=(0, (6, 3)), label=label)
    axes.set_xlabel("seconds since the start")
    axes.set_ylabel("latency, ms")
    axes.legend(loc="upper left", bbox_to_anchor=(0.0, -0.16), ncol=4, handletextpad=0.4, columnspacing=1.6,
                markerscale=1.7)  # fmt: skip


def _top_ms(outage: OutageSeries) -> float:
    known = [latency for latency in outage.frames.latency_ms if latency is not None]
    return 1.25 * max([*known, outage.deadline_ms or 0.0, 1.0])


def _draw_kind(kind: str, outage: OutageSeries, axes: Axes) -> None:
    marker, colour, label = KINDS.get(kind, ("+", "muted", kind))
    times, latencies = _dots(outage.frames, kind)
    if kind != "degraded":
        kept = _kept(latencies, outage.deadline_ms)
        times, latencies = times[kept], latencies[kept]
    axes.plot(times, latencies, linestyle="none", marker=marker, markersize=3.2, color=LIGHT[colour], label=label,
              markeredgewidth=1.1 if marker == "x" else 0, alpha=0.85, zorder=3)  # fmt: skip


def _dots(dots: Dots, kind: str) -> tuple[FloatArray, FloatArray]:
    mine = np.array([each == kind for each in dots.kind])
    return np.array(dots.t_s, dtype=np.float64)[mine], np.array(finite(dots.latency_ms))[mine]


def _kept(latencies: FloatArray, deadline_ms: float | None) -> NDArray[np.intp]:
    """Indices of the dots to draw: all late ones, and every n-th of the others."""
    step = 1 + len(latencies) // DOTS_PER_KIND
    late = latencies > (np.inf if deadline_ms is None else deadline_ms)
    return np.flatnonzero(late | (np.arange(len(latencies)) % step == 0))


def _draw_fault(fault: Fault, top: float, axes: Axes) -> None:
    start, end, recovery = fault.from_s, fault.to_s, fault.recovery_s
    if start is None or end is None:
        return
    axes.axvspan(start, end, color=LIGHT["fault"], linewidth=0, zorder=0)
    axes.text((start + end) / 2, 0.985 * top, fault_word(fault.kind), ha="center", va="top", fontweight="bold")
    if recovery is None:
        return
    axes.plot([end + recovery] * 2, [0, 0.86 * top], color=LIGHT["ink"], linewidth=1, linestyle=":")
    axes.plot([end + recovery], [0.86 * top], marker="v", markersize=6, color=LIGHT["ink"], linestyle="none")
    axes.annotate(f"cloud again\nafter {recovery:.1f} s", (end + recovery, 0.86 * top), xytext=(6, 4),
                  textcoords="offset points", fontsize=8.5, va="center")  # fmt: skip
