"""A link as replay sees it: a base time, a time per kilobyte, and what is left over."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from split_core.tensors import FloatArray

# Theil-Sen looks at all pairs; 400 points are 80,000 of them.
PAIRED_POINTS = 400
KEPT_RESIDUALS = 500


@dataclass(frozen=True, slots=True)
class LinkFit:
    """link_ms = base_ms + ms_per_kb * kilobytes + one of residual_ms."""

    base_ms: float
    ms_per_kb: float
    residual_ms: FloatArray


def fit_link(link_ms: FloatArray, payload_bytes: FloatArray, rng: np.random.Generator) -> LinkFit:
    """Fit measured round trips, robustly: one slow reply in four does not move the line.

    Args:
        link_ms: (N,) round trips without the worker's own time, N >= 1.
        payload_bytes: (N,) bytes sent.
        rng: draws the points that are paired and the residuals that are kept.

    Returns:
        A line that is never negative for a payload, and at most 500 residuals, ascending.

    Source: Theil 1950, Sen 1968: the median of the slopes of all pairs.
    """
    kb = payload_bytes / 1000.0
    slope = max(0.0, _median_slope(kb, link_ms, rng))
    base = max(0.0, float(np.median(link_ms - slope * kb)))
    residual = link_ms - base - slope * kb
    if len(residual) > KEPT_RESIDUALS:
        residual = rng.choice(residual, KEPT_RESIDUALS, replace=False)
    return LinkFit(base, slope, np.sort(residual))


def _median_slope(x: FloatArray, y: FloatArray, rng: np.random.Generator) -> float:
    if len(x) > PAIRED_POINTS:
        chosen = rng.choice(len(x), PAIRED_POINTS, replace=False)
        x, y = x[chosen], y[chosen]
    first, second = np.triu_indices(len(x), 1)
    run = x[second] - x[first]
    apart = run != 0.0
    # Payloads of one size say nothing about the slope.
    return float(np.median((y[second] - y[first])[apart] / run[apart])) if apart.any() else 0.0
