"""A link as the device gets to know it: a line, base + slope * kilobytes, fitted to its own offloads.

Exponentially weighted least squares, so that it follows the link and is right for payloads that are not being
sent too.  Two things make it forget faster than that:

- **A change.**  Offloads that take longer than a line that was drawn before, and those that do not, come in shares
  that stay while the link stays, whatever its noise.  When `bandits.change` proves that they do not, all from before
  is forgotten.
- **Silence.**  What was measured long ago is worth less: it fades towards what was believed first.  Else a link that
  was once slow would never be tried again, and never be known to have recovered.

Confidences are watched apart (`bandits.strata_change`): a change of one is no reason to forget the other.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from bandits.change import MeanChange
from split_core.tensors import FloatArray

LINK_DECAY = 0.98  # memory of about 50 offloads
FALSE_ALARM = 0.01  # chance that a link that stays is ever taken for a changed one
BLOCK = 8  # offloads between two looks for a change
WARM = 32  # offloads until a line is drawn that later ones are compared with
KEPT = 64  # offloads that a new line can be drawn from


class LinkModel:
    """Round-trip time without the worker's part, as a line over payload size.

    Args:
        base_ms, ms_per_kb: what to believe before anything was measured; worth `weight` offloads.

    Attributes:
        changes: that were found.
    """

    def __init__(self, base_ms: float, ms_per_kb: float, weight: float = 2.0) -> None:
        self._prior = (base_ms, ms_per_kb)
        self._weight, self._left = weight, 1.0  # of what was believed first, so much is left in the sums
        self._first = self._line()
        self._sums, self.changes = self._first, 0
        self._newest: deque[FloatArray] = deque(maxlen=KEPT)
        self._since, self._change = 0, MeanChange(FALSE_ALARM, BLOCK)
        self._reference: tuple[float, float] | None = None
        self._fit()

    def _line(self) -> FloatArray:
        """Two points on the prior line, so that both its parameters fade as measurements come."""
        base_ms, ms_per_kb = self._prior
        points = [self._row(kb, base_ms + kb * ms_per_kb) for kb in (0.5, 4.0)]
        line: FloatArray = self._weight / 2 * (points[0] + points[1])
        return line

    @staticmethod
    def _row(kb: float, ms: float) -> FloatArray:
        return np.array([1.0, kb, ms, kb * kb, kb * ms])

    def observe(self, payload_bytes: int, link_ms: float) -> None:
        """One offload came back."""
        kb, ms = payload_bytes / 1e3, max(0.0, link_ms)
        row = self._row(kb, ms)
        self._newest.append(row)
        self._sums, self._left = LINK_DECAY * self._sums + row, LINK_DECAY * self._left
        self._look(kb, ms)
        self._fit()

    def _look(self, kb: float, ms: float) -> None:
        """Is this still the link that the reference was drawn for?"""
        self._since += 1
        if self._reference is None:
            if self._since >= WARM:
                self._reference = (self._base, self._slope)
            return
        base, slope = self._reference
        since = self._change.add(float(ms > base + slope * kb))
        if since is not None:
            self.changes += 1
            self._begin_anew(min(since.outcomes, len(self._newest)))

    def _begin_anew(self, offloads: int) -> None:
        """Go on with the newest so many offloads, and with nothing from before."""
        self._sums, self._left = np.sum([*self._newest][-offloads:], axis=0), 0.0
        self._since, self._reference = offloads, None

    def believe(self, base_ms: float) -> None:
        """Something else than an offload has told the base: believed instead of what was believed first."""
        before = self._first
        self._prior = (max(0.0, base_ms), self._prior[1])
        self._first = self._line()
        self._sums = self._sums + self._left * (self._first - before)
        self._fit()

    def fade(self, keep: float) -> None:
        """What was measured is worth `keep` of itself, the rest is what was believed first; for times of silence."""
        self._sums = keep * self._sums + (1.0 - keep) * self._first
        self._left = keep * self._left + 1.0 - keep
        self._fit()

    @property
    def slope(self) -> float:
        """Milliseconds per kilobyte."""
        return self._slope

    def ms(self, payload_bytes: float) -> float:
        """Expected time for a payload of this size."""
        return self._base + self._slope * payload_bytes / 1e3

    def _fit(self) -> None:
        n, x, y, xx, xy = (float(value) for value in self._sums)
        spread = xx - x * x / n
        # All payloads of one size say nothing about the slope: lean on what was believed, shrunk to the data.
        ridge = 0.05 * n
        slope = (xy - x * y / n + ridge * self._prior[1]) / (spread + ridge)
        self._slope = max(0.0, slope)
        self._base = max(0.0, (y - self._slope * x) / n)
