"""The thread between a source that ends and the loop: paces, stamps, and keeps the newest frame only."""

from __future__ import annotations

import threading
from collections.abc import Callable

from edge_runtime.sources.base import Frame, Skipping, Source
from edge_runtime.sources.slot import NewestFrame
from split_core.errors import SourceError

PATIENCE_S = 0.25  # longest wait before the thread looks whether it shall stop


class Feed:
    """Reads a source in a thread of its own, into a `NewestFrame`.

    Args:
        source: read by the thread alone.
        fps: frames per second at most; 0 for as fast as the source gives them.
        limit: stop after so many frames; 0 for no limit.
        every: wait with the next frame until the last one was taken, so that none is dropped.
        clock: monotonic seconds.
        wake: called after every frame and at the end.
        tell: told in one line of the first item that cannot be read.

    Attributes:
        slot: the newest frame.
        error: why the source gave up; None while it did not.
        connections: always 1: a source that fails is not opened again.
    """

    connections = 1

    def __init__(
        self,
        source: Source,
        *,
        fps: float,
        limit: int,
        clock: Callable[[], float],
        wake: Callable[[], None],
        every: bool = False,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.slot = NewestFrame()
        self.error: SourceError | None = None
        self._source, self._limit, self._clock, self._wake, self._every = source, limit, clock, wake, every
        self._tell, self._skipped = tell, 0
        self.pace(fps)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="source", daemon=True)

    @property
    def ended(self) -> bool:
        """Will no further frame come?"""
        return not self._thread.is_alive()

    @property
    def sees(self) -> bool:
        """Has a frame come, and may more come?"""
        return not self.ended and self.slot.offered > 0

    def pace(self, fps: float) -> None:
        """Frames per second at most from here on; 0 for as fast as the source gives them."""
        self._period_s = 1.0 / fps if fps else 0.0

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Read no further frame; returns when the thread is done, or a second later if the source hangs."""
        self._stopping.set()
        self._thread.join(timeout=1.0)

    def _run(self) -> None:
        try:
            self._read_all()
        except SourceError as error:
            self.error = error
        finally:
            self._source.close()
            self._wake()

    def _look_for_skipped(self) -> None:
        if isinstance(self._source, Skipping) and self._source.skipped > self._skipped:
            if not self._skipped:
                self._tell(f"an item cannot be read, and further ones are only counted: {self._source.problem}")
            self.slot.drop("unreadable", self._source.skipped - self._skipped)
            self._skipped = self._source.skipped

    def _next_due_s(self, due_at_s: float, now: float) -> float:
        # Late by more than a period: begin anew.  Catching up would only make frames that nobody reads.
        return (now if now - due_at_s > self._period_s else due_at_s) + self._period_s

    def _read_all(self) -> None:
        due_at_s, seq = self._clock(), 0
        while not self._stopping.is_set() and (not self._limit or seq < self._limit):
            item = self._source.read()
            self._look_for_skipped()
            if item is None:
                return
            # Event.wait is the pacing sleep: `stop` ends it at once.
            if self._stopping.wait(max(0.0, due_at_s - self._clock())):
                return
            self.slot.put(Frame(seq, self._clock(), item))
            self._wake()
            while self._every and not self._stopping.is_set() and not self.slot.wait_until_taken(PATIENCE_S):
                pass
            seq += 1
            due_at_s = self._next_due_s(due_at_s, self._clock())
