"""Where a camera leaves its newest frame, and what became of the others."""

from __future__ import annotations

import threading
from collections import Counter

from edge_runtime.sources.base import Frame


class NewestFrame:
    """A slot for one frame.  Putting a second one drops the first and counts it.

    Attributes:
        offered: frames that were seen, those included that were dropped before they were put here.
        drops: frames that nobody will answer, by reason: "newer" (a newer one came before it was taken), "rate",
            "still", "unreadable".
    """

    def __init__(self) -> None:
        self._lock = threading.Condition(threading.Lock())
        self._frame: Frame | None = None
        self.offered = 0
        self.drops: Counter[str] = Counter()

    @property
    def dropped(self) -> int:
        """Frames that nobody will answer."""
        return sum(self.drops.values())

    @property
    def empty(self) -> bool:
        """Is there nothing to take?"""
        return self._frame is None

    def put(self, frame: Frame) -> None:
        """Offer a frame; the one that was not taken is gone."""
        with self._lock:
            self.offered += 1
            if self._frame is not None:
                self.drops["newer"] += 1
            self._frame = frame

    def drop(self, why: str, count: int = 1) -> None:
        """Frames were seen, and are not to be answered."""
        with self._lock:
            self.offered += count
            self.drops[why] += count

    def peek(self) -> Frame | None:
        """What `take` would give now, or something newer."""
        return self._frame

    def take(self) -> Frame | None:
        """The newest frame that was not taken yet, or None."""
        with self._lock:
            frame, self._frame = self._frame, None
            self._lock.notify()
            return frame

    def wait_until_taken(self, timeout_s: float) -> bool:
        """Block until there is nothing to take, at most so long; is that so?"""
        with self._lock:
            return self._lock.wait_for(lambda: self._frame is None, timeout_s)
