"""Kolmogorov and Smirnov's distance of a window from calibration."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from split_core.drift.base import Drift
from split_core.drift.window import BinWindow
from split_core.evidence import ConfidenceHistogram

ALPHA = 1e-6


def ks(expected: Sequence[int], found: Sequence[int]) -> float:
    """Largest distance of the two distribution functions at bin edges; at most the unbinned distance."""
    n, m = sum(expected), sum(found)
    steps = zip(itertools.accumulate(expected), itertools.accumulate(found), strict=True)
    return max(abs(e / n - f / m) for e, f in steps)


def ks_limit(n: int, m: int, alpha: float = ALPHA) -> float:
    """Two-sample limit sqrt(-ln(alpha / 2) / 2) sqrt((n + m) / (n m)); with bins and ties it errs to silence.

    Source: N. Smirnov, Table for estimating the goodness of fit of empirical distributions (1948).
    """
    return math.sqrt(-math.log(alpha / 2.0) / 2.0) * math.sqrt((n + m) / (n * m))


class KolmogorovSmirnov:
    """Two-sample test of the newest confidences.

    Args:
        histogram: of the exit.
        window: how many confidences to compare; it fires from a full window on.
    """

    def __init__(self, histogram: ConfidenceHistogram, window: int = 500) -> None:
        self._window = BinWindow(histogram.edges, window)
        self._expected = histogram.counts
        self._limit = ks_limit(sum(histogram.counts), window)
        self.update = self._window.add

    def state(self) -> Drift:
        """See `Detector.state`."""
        full = len(self._window) == self._window.size
        value = ks(self._expected, self._window.counts) if full else 0.0
        return Drift(value, self._limit, value > self._limit)
