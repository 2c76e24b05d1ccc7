"""Thresholds in units of calibrated confidence: a grid for bandits, and the certified one of each exit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from split_core.tensors import FloatArray

GRID = 10  # thresholds offered to a bandit, 0 and 1 included


def threshold_grid(confidence: FloatArray, count: int = GRID) -> tuple[float, ...]:
    """Thresholds that split what the early exits leave open evenly.

    They are quantiles of the early exits' confidences, where a sample weighs sqrt(1 - confidence).  Even
    shares of samples would crowd near 1, even shares of expected errors would leave that end empty.  On
    the demo's stream, over 24 cost settings, the best arm of this grid is within 0.001 of the best arm of
    400 thresholds in reward; even shares lose up to 0.0025, a fixed grid up to 0.0015.

    Args:
        confidence: (N, K) calibrated, the final exit last.
        count: at most so many; fewer when quantiles coincide.

    Returns:
        Ascending and distinct, with three decimals; the first is 0 (always answer), the last 1 (always
        ship).
    """
    early = np.sort((confidence[:, :-1] if confidence.shape[1] > 1 else confidence).ravel())
    weight = np.cumsum(np.sqrt(1.0 - early) + 1e-9)
    inner = np.interp(np.linspace(0.0, 1.0, count)[1:-1], weight / weight[-1], early)
    return tuple(sorted({0.0, 1.0, *np.round(inner, 3).tolist()}))


def lower_bound(successes: int, trials: int, risk: float) -> float:
    """Exact lower confidence bound of a proportion, wrong with probability `risk` (Clopper-Pearson 1934)."""
    return float(betaincinv(successes, trials - successes + 1, risk)) if successes > 0 else 0.0


def certified_threshold(
    confidence: FloatArray, agrees: NDArray[np.bool_], *, target: float, risk: float, steps: int = 100
) -> float | None:
    """The smallest threshold at which answers agree in at least a share `target`, by a certain bound.

    Thresholds are tested from the strictest to the loosest, each with the exact bound at `risk`; the
    first failure ends the sequence, so that the chance of any false promise is `risk` (fixed-sequence
    testing, as in Learn then Test).  Thresholds with so few samples that even a perfect record would not
    do are skipped: that looks at counts only, not at outcomes.

    The promise is for data like the samples: it is void under shift.

    Args:
        confidence: (N,) of one exit.
        agrees: (N,) is the answer the one that is wanted?
        target: share in (0, 1).
        risk: in (0, 1).
        steps: thresholds tested, by quantile.

    Returns:
        The threshold, or None when none can be promised.
    """
    # Rounded before they are tested: what is written is what was counted.  0 is "always answer".
    quantiles = np.round(np.quantile(confidence, np.linspace(0.0, 1.0, steps)), 4).tolist()
    found = None
    for threshold in sorted({0.0, *quantiles}, reverse=True):
        answered = confidence >= threshold
        trials = int(answered.sum())
        if lower_bound(trials, trials, risk) < target:
            continue
        if lower_bound(int(agrees[answered].sum()), trials, risk) < target:
            break
        found = threshold
    return found
