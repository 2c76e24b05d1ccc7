"""Which frames of a camera are worth a look.  Pure: callers pass `now` in seconds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_runtime.sources.base import Item

CELLS = 64  # along the longer side: noise of single pixels is averaged out of cells, or skipped over
CHANGED = 12.0  # of 255: less is noise, and light that flickers
STILL_S = 10.0  # a still scene is looked at all the same, so often


class Rate:
    """At most so many frames a second, as even as they come.

    Args:
        fps: 0 lets all through; may be set at any time.
    """

    def __init__(self, fps: float) -> None:
        self.fps, self._due_at_s = fps, float("-inf")

    def passes(self, now: float) -> bool:
        """May this frame pass?"""
        if not self.fps:
            return True
        period_s = 1.0 / self.fps
        # A tenth of a period early is in time: cameras' clocks and ours are not the same.
        if now < self._due_at_s - 0.1 * period_s:
            return False
        self._due_at_s = max(self._due_at_s + period_s, now + 0.5 * period_s)
        return True


class Motion:
    """Lets a frame pass when enough of the picture has changed since the last one that passed.

    Since the last that passed, and not since the last: what moves slowly counts, too.

    Args:
        share: of the picture, in (0, 1]; 0 lets all through.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._before: NDArray[np.float32] | None = None
        self._passed_at_s = float("-inf")

    def passes(self, item: Item, now: float) -> bool:
        """Has enough changed?  A text, and a picture of another size, always has."""
        if not self._share or isinstance(item, str):
            return True
        grey = _small(item)
        before = self._before
        if before is not None and before.shape == grey.shape and now - self._passed_at_s < STILL_S:
            changed = float((np.abs(grey - before) > CHANGED).mean())
            if changed < self._share:
                return False
        self._before, self._passed_at_s = grey, now
        return True


def _small(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(h, w) grey levels, 64 along the longer side at most: every so many-th pixel of every so many-th row."""
    step = max(1, max(pixels.shape[:2]) // CELLS)
    rows = pixels[::step, ::step].astype(np.float32)
    small: NDArray[np.float32] = rows.mean(axis=2)
    return small
