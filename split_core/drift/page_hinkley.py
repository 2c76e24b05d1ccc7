"""Page and Hinkley's test for a change of the mean, on ranks: quick where the window tests are slow."""

from __future__ import annotations

import math
from bisect import bisect_right

from split_core.drift.base import Drift
from split_core.drift.histogram import Reference
from split_core.evidence import ConfidenceHistogram

ALLOWANCE = 0.25  # standard deviations that are no change
LIMIT = 40.0


class PageHinkley:
    """Two sums, for confidences that rise and that fall; the greater is compared with the limit.

    A confidence is replaced by its rank among the calibration samples, which is uniform while nothing
    changes, whatever the network.  With z the rank in standard deviations from its mean:

        up = max(0, up + z - k),  down = max(0, down - z - k),  fires when one of them exceeds h

    With k = 0.25 and h = 40, a false alarm comes once in 10^9 frames (Siegmund's formula,
    (exp(2 k b) - 2 k b - 1) / (2 k^2) with b = h + 1.17), and a shift by d standard deviations is found
    after about h / (d - k) frames.  k grows by two standard errors of the calibration's own mean.

    Args:
        histogram: of the exit.
        window: not used, the sums forget by themselves; every detector takes it.

    Source: E. S. Page, Continuous inspection schemes (1954); D. V. Hinkley, Inference about the
    change-point from cumulative sum tests (1971); the reference mean is known here, not estimated on the way.
    """

    def __init__(self, histogram: ConfidenceHistogram, window: int = 500) -> None:
        reference = Reference(histogram)
        ranks, shares = reference.ranks, [count / reference.samples for count in reference.counts]
        spread = math.sqrt(sum(s * (r - 0.5) ** 2 for r, s in zip(ranks, shares, strict=True))) or 1.0
        self._edges = reference.edges
        self._scores = [(rank - 0.5) / spread for rank in ranks]
        self._allowance = ALLOWANCE + 2.0 / math.sqrt(reference.samples)
        self._up = self._down = 0.0

    def update(self, x: float) -> None:
        """See `Detector.update`."""
        score = self._scores[bisect_right(self._edges, x)]
        up, down = self._up + score - self._allowance, self._down - score - self._allowance
        # Bounded above, too: hours of drift must not take hours to be over.
        self._up = 0.0 if up < 0.0 else up if up < 2 * LIMIT else 2 * LIMIT
        self._down = 0.0 if down < 0.0 else down if down < 2 * LIMIT else 2 * LIMIT

    def state(self) -> Drift:
        """See `Detector.state`."""
        value = max(self._up, self._down)
        return Drift(value, LIMIT, value > LIMIT)
