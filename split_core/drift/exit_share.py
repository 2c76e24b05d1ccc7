"""Do frames leave at an exit as often as calibration says, whatever threshold the bandit has just chosen?"""

from __future__ import annotations

import math
from collections import deque

from split_core.drift.base import Drift
from split_core.drift.histogram import Reference
from split_core.evidence import ConfidenceHistogram

LIMIT = 5.0  # standard deviations: 3 in ten million windows
INTERPOLATION = 0.01  # error of `Reference.at_least` between two edges, in shares
LEAST = 100  # frames with an open question


class ExitShare:
    """Answers above the threshold, minus those expected, in standard deviations, over the newest frames.

    Positive: exits move earlier without a calibration that says so.  A bandit that lowers its threshold
    does not count: what is expected follows the threshold of each frame.

    Args:
        histogram: of the exit.
        window: frames.
    """

    def __init__(self, histogram: ConfidenceHistogram, window: int = 500) -> None:
        self._reference = Reference(histogram)
        self._expected: dict[float, float] = {}  # a bandit has a dozen thresholds; bounded below
        self._ring: deque[tuple[float, float]] = deque(maxlen=window)
        self._surplus = self._variance = 0.0

    def update(self, x: float, threshold: float) -> None:
        """Take in the confidence of a frame that was to answer here at `threshold` or more."""
        share = self._expected.get(threshold)
        if share is None:
            share = self._ask(threshold)
        ring = self._ring
        if len(ring) == ring.maxlen:
            surplus, variance = ring[0]
            self._surplus -= surplus
            self._variance -= variance
        surplus, variance = (x >= threshold) - share, share * (1.0 - share)
        ring.append((surplus, variance))
        self._surplus += surplus
        self._variance += variance

    def earlier(self) -> Drift:
        """Too many answers here."""
        return self._drift(1.0)

    def later(self) -> Drift:
        """Too few."""
        return self._drift(-1.0)

    def _ask(self, threshold: float) -> float:
        if len(self._expected) >= 1000:
            self._expected.clear()
        return self._expected.setdefault(threshold, self._reference.at_least(threshold))

    def _drift(self, sign: float) -> Drift:
        frames = len(self._ring)
        if frames < LEAST:
            return Drift(0.0, LIMIT, False)
        # The calibration's own shares are uncertain, too; one frame more keeps the root from zero.
        variance = max(0.0, self._variance) * (1.0 + frames / self._reference.samples) + 1.0
        surplus = sign * self._surplus - INTERPOLATION * frames
        value = max(0.0, surplus) / math.sqrt(variance)
        return Drift(value, LIMIT, value > LIMIT)
