"""Population stability index of a window against calibration."""

from __future__ import annotations

import math
from collections.abc import Sequence

from split_core.drift.base import Drift
from split_core.drift.histogram import Reference
from split_core.drift.window import BinWindow
from split_core.evidence import ConfidenceHistogram

GROUPS = 10
LEAST_LIMIT = 0.1  # the convention for "has moved"; below, nobody cares even when it is no chance
NORMAL_QUANTILE = 6.0  # of one in a billion


def psi(expected: Sequence[float], found: Sequence[float]) -> float:
    """Sum of (f - e) ln(f / e) over shares with half a count added to each; 0 for equal shares.

    Args:
        expected: counts per group.
        found: counts per group, as many.

    Source: N. Siddiqi, Credit Risk Scorecards (2006); it is the symmetrised Kullback-Leibler divergence.
    """
    n, m, add = sum(expected), sum(found), 0.5
    total = 0.0
    for e, f in zip(expected, found, strict=True):
        e_share = (e + add) / (n + add * len(expected))
        f_share = (f + add) / (m + add * len(found))
        total += (f_share - e_share) * math.log(f_share / e_share)
    return total


def psi_limit(groups: int, n: int, m: int) -> float:
    """What PSI of `n` and `m` equally distributed samples exceeds once in a billion times, at least 0.1.

    PSI / (1/n + 1/m) is about chi-squared with groups - 1 degrees of freedom (B. Yurdakul, Statistical
    Properties of Population Stability Index, 2018); its quantile is Wilson and Hilferty's (1931).
    """
    freedom = max(1, groups - 1)
    spread = 2.0 / (9.0 * freedom)
    quantile = freedom * (1.0 - spread + NORMAL_QUANTILE * math.sqrt(spread)) ** 3
    return max(LEAST_LIMIT, quantile * (1.0 / n + 1.0 / m))


class Psi:
    """PSI over about ten groups of equal calibration mass.

    Args:
        histogram: of the exit.
        window: how many confidences to compare; it fires from a full window on.
    """

    def __init__(self, histogram: ConfidenceHistogram, window: int = 500) -> None:
        reference = Reference(histogram)
        self._window = BinWindow(reference.edges, window)
        self._groups = [min(GROUPS - 1, int(rank * GROUPS)) for rank in reference.ranks]
        self._expected = self._grouped(reference.counts)
        self._limit = psi_limit(len(set(self._groups)), reference.samples, window)
        self.update = self._window.add

    def state(self) -> Drift:
        """See `Detector.state`."""
        full = len(self._window) == self._window.size
        value = psi(self._expected, self._grouped(self._window.counts)) if full else 0.0
        return Drift(value, self._limit, value > self._limit)

    def _grouped(self, counts: Sequence[int]) -> list[float]:
        sums = dict.fromkeys(self._groups, 0.0)
        for group, count in zip(self._groups, counts, strict=True):
            sums[group] += count
        return list(sums.values())
