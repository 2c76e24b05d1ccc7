"""How long to wait before a camera is tried again.  Pure."""

from __future__ import annotations

import numpy as np

FIRST_S, LONGEST_S = 0.5, 30.0


class Backoff:
    """Twice as long after every failure, with jitter, so that cameras of one box do not all come back at once.

    Args:
        rng: of the jitter.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng, self._failures = rng, 0

    def next_s(self) -> float:
        """Seconds to wait after one more failure: between half of the time and all of it."""
        longest_s = min(LONGEST_S, FIRST_S * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return float(longest_s * self._rng.uniform(0.5, 1.0))

    def healthy(self) -> None:
        """It works again."""
        self._failures = 0
