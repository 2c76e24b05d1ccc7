"""A link as the device gets to know it: a line, base + slope * kilobytes, fitted to its own offloads.

Exponentially weighted least squares, so that it follows the link and is right for payloads that are not being
sent too.
"""

from __future__ import annotations

import numpy as np

LINK_DECAY = 0.98  # memory of about 50 offloads


class LinkModel:
    """Round-trip time without the worker's part, as a line over payload size.

    Args:
        base_ms, ms_per_kb: what to believe before anything was measured; worth `weight` offloads.
    """

    def __init__(self, base_ms: float, ms_per_kb: float, weight: float = 2.0) -> None:
        self._prior = (base_ms, ms_per_kb)
        # Two points on the prior line, so that both its parameters fade as measurements come.
        points = [self._row(kb, base_ms + kb * ms_per_kb) for kb in (0.5, 4.0)]
        self._sums = weight / 2 * (points[0] + points[1])
        self._fit()

    @staticmethod
    def _row(kb: float, ms: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array([1.0, kb, ms, kb * kb, kb * ms])

    def observe(self, payload_bytes: int, link_ms: float) -> None:
        """One offload came back."""
        self._sums = LINK_DECAY * self._sums + self._row(payload_bytes / 1e3, max(0.0, link_ms))
        self._fit()

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
