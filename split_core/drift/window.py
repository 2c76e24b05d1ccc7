"""Counts per bin of the newest values."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque


class BinWindow:
    """A ring of bin numbers and their counts.

    Args:
        edges: as in `ConfidenceHistogram`.
        size: how many values it holds.
    """

    __slots__ = ("_edges", "_ring", "counts", "size")

    def __init__(self, edges: tuple[float, ...], size: int) -> None:
        self._edges, self.size = edges, size
        self._ring: deque[int] = deque(maxlen=size)
        self.counts = [0] * (len(edges) + 1)

    def add(self, x: float) -> None:
        """Take in one value; the oldest leaves when the window is full."""
        ring, place = self._ring, bisect_right(self._edges, x)
        if len(ring) == self.size:
            self.counts[ring[0]] -= 1
        ring.append(place)
        self.counts[place] += 1

    def __len__(self) -> int:
        return len(self._ring)
