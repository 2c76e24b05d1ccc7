"""What frames teach about every (split, threshold) arm at once, free of prices.

Every reading falls into a cell (exit j, bin b); the thresholds are the edges of the bins, so the arm (j, alpha)
ships exactly the bins below alpha.  With p_b the share of bin b in the readings of exit j, C_b its mean confidence,
F_b its mean final confidence, known from v_b verdicts, and n the readings of exit j:

    share shipped = sum of p_b over shipped bins
    value         = sum of p_b * C_b over the others + sum of p_b * F_b over shipped bins
    1 / N         = sum of p_b / n   over the others + sum of p_b^2 / v_b over shipped bins

Fully observed, N is n as in UCB1.  Exit 0 (nothing was run) is one bin that is always shipped; split K earns
the final confidence too.

**Censoring.**  A frame that was answered at exit i says nothing about what the cloud would have said, and it is
not a frame like others: it is an easy one.  So readings (p_b, C_b) count for every exit that was read, but
verdicts (F_b) only where they are *fair*: in a bin of the deepest exit that was read, where the arm alone decides
whether frames are shipped, and the arm was drawn before the frame was seen; and in all bins when the device ran
to K, whatever the readings were.  A verdict says nothing fair about an exit passed on the way: among the frames
of its bin only those come back that were still unsure later.  Nothing is imputed, so nothing is biased, and what
was never shipped keeps its arm's bonus up in proportion to its share p_b.

A bin without verdicts is taken to be worth halfway from its middle to certainty, with the weight of one
verdict.  That is optimistic on purpose: pessimism about the cloud confirms itself, because what is not shipped is
never corrected; optimism is cured by the first verdicts.  v_b is taken as at least 1.

Refused: the confidence itself as prior (unlucky starts are not corrected); imputing a missing final confidence
with the deepest reading's, as SplitEE-S does (biased); imputing it with the fair mean of the bin where the frame
ended (more state, no gain).  `offramp replay` compares policies on your own trace.

The bias of what is not fair is in tests/bandits/test_strata.py.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bandits import saved
from split_core.readings import Reading
from split_core.tensors import FloatArray

# Rows of the table of sums: readings, their confidence; fair verdicts, their final confidence.
READ, CONFIDENCE, VERDICTS, FINAL = range(4)
# Weights grow by 1/discount per frame; rescale long before a float loses digits.
RESCALE_ABOVE = 1e9
# Stands for 0 in a divisor.
TINY = 1e-100


@dataclass(frozen=True, slots=True)
class Estimates:
    """What every arm would have done, per exit 0..K-1 (rows) and threshold (columns).

    Attributes:
        value: (K, T) mean confidence of the answer given.
        share: (K, T) share of frames shipped.
        uncertainty: (K, T) 1 / N; about 1e100 where the exit was never read.
    """

    value: FloatArray
    share: FloatArray
    uncertainty: FloatArray


class Strata:
    """The cells, for K exits and T thresholds.

    Args:
        exits: K.
        thresholds: ascending.
        discount: weight of an observation that is one frame older; 1 never forgets.
    """

    def __init__(self, exits: int, thresholds: Sequence[float], *, discount: float) -> None:
        self._thresholds, self._discount = list(thresholds), discount
        self._bins = len(self._thresholds) + 1
        self._sums = np.zeros((4, exits * self._bins))
        self._parts = np.empty((4, exits * self._bins))
        # Sums over the bins below each threshold, as a product: a third of the time of cumsum.
        self._below = np.triu(np.ones((self._bins, self._bins)))[:, :-1]
        self._all = np.ones(self._bins)
        # Exit 0 has no confidence to guess from, and needs none: every verdict is fair to it.
        self._prior = np.ones(exits * self._bins)
        self._prior[: self._bins] = TINY
        edges = np.array([0.0, *thresholds, 1.0])
        self._guess = self._prior * np.tile(0.5 + 0.25 * (edges[1:] + edges[:-1]), exits)
        self._frames = 0.0  # frames taken in, weighted like the sums
        self._weight = 1.0  # what the newest frame weighs; see `Discount` of `bandits.indices`

    @property
    def frames(self) -> float:
        """Frames taken in, discounted."""
        return self._frames / self._weight

    def observe(self, readings: Sequence[Reading], final: float | None, *, ran_to_end: bool) -> None:
        """Take in one frame.

        Args:
            readings: of exits below K, ascending.
            final: the final exit's confidence when it is known.
            ran_to_end: `final` is the device's own, so it is known whatever the readings were.
        """
        self._age()
        cells = [0]
        self._sums[READ, 0] += self._weight
        for reading in readings:
            cell = reading.exit * self._bins + bisect_right(self._thresholds, reading.confidence)
            self._sums[READ, cell] += self._weight
            self._sums[CONFIDENCE, cell] += self._weight * max(0.0, reading.confidence)
            cells.append(cell)
        if final is not None:
            for cell in cells if ran_to_end else cells[-1:]:
                self._sums[VERDICTS, cell] += self._weight
                self._sums[FINAL, cell] += self._weight * final
        self._frames += self._weight

    def _age(self) -> None:
        self._weight /= self._discount
        if self._weight > RESCALE_ABOVE:
            self._sums /= self._weight
            self._frames /= self._weight
            self._weight = 1.0

    def estimates(self) -> Estimates:
        """What is known of every arm now; formulas in the module's text."""
        _, _, verdicts, final = self._sums
        one, parts = self._weight, self._parts
        parts[:2] = self._sums[:2]
        read, _, from_cloud, spread = parts
        np.divide(self._guess * one + final, self._prior * one + verdicts, out=from_cloud)
        from_cloud *= read
        np.divide(read, np.maximum(verdicts, one), out=spread)
        spread *= read
        rows = parts.reshape(-1, self._bins)
        count, confidence = rows.dot(self._all).reshape(4, -1, 1)[:2]
        total = np.maximum(count, TINY)
        below = rows.dot(self._below).reshape(4, len(total), -1)
        below /= total
        share, on_device, from_cloud, spread = below
        value = from_cloud + (confidence / total - on_device)
        return Estimates(value, share, (1.0 - share + spread) * (one / total))

    def state(self) -> dict[str, Any]:
        """Sums and weights, as JSON types."""
        return {"sums": self._sums.ravel().tolist(), "frames": self._frames, "weight": self._weight}

    def restore(self, state: dict[str, Any], policy: str) -> None:
        """Go on from `state`, bit-identically.

        Raises:
            PolicyFileError: another number of cells, or no numbers.
        """
        sums = saved.numbers(state, "sums", self._sums.size, policy, least=0.0)
        frames = saved.number(state, "frames", policy, least=0.0)
        weight = saved.number(state, "weight", policy, least=1.0)
        self._sums[:] = np.reshape(sums, self._sums.shape)
        self._frames, self._weight = frames, weight
