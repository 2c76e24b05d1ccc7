"""The thread between a source and the loop: paces, stamps, and keeps the newest frame only."""

from __future__ import annotations

import threading
from collections.abc import Callable

from edge_runtime.sources.base import Frame, Source
from split_core.errors import SourceError

PATIENCE_S = 0.25  # longest wait before the thread looks whether it shall stop


class NewestFrame:
    """A slot for one frame.  Putting a second one drops the first and counts it."""

    def __init__(self) -> None:
        self._lock = threading.Condition(threading.Lock())
        self._frame: Frame | None = None
        self.offered = 0
        self.dropped = 0

    @property
    def empty(self) -> bool:
        """Is there nothing to take?"""
        return self._frame is None

    def put(self, frame: Frame) -> None:
        """Offer a frame; the one that was not taken is gone."""
        with self._lock:
            self.offered += 1
            self.dropped += self._frame is not None
            self._frame = frame

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


class Feed:
    """Reads a source in a thread of its own, into a `NewestFrame`.

    Args:
        source: read by the thread alone.
        fps: frames per second at most; 0 for as fast as the source gives them.
        limit: stop after so many frames; 0 for no limit.
        every: wait with the next frame until the last one was taken, so that none is dropped.
        clock: monotonic seconds.
        wake: called after every frame and at the end.
    """

    def __init__(
        self,
        source: Source,
        *,
        fps: float,
        limit: int,
        clock: Callable[[], float],
        wake: Callable[[], None],
        every: bool = False,
    ) -> None:
        self.slot = NewestFrame()
        self.error: SourceError | None = None
        self._source, self._limit, self._clock, self._wake, self._every = source, limit, clock, wake, every
        self.pace(fps)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="source", daemon=True)

    @property
    def ended(self) -> bool:
        """Will no further frame come?"""
        return not self._thread.is_alive()

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

    def _next_due_s(self, due_at_s: float, now: float) -> float:
        # Late by more than a period: begin anew.  Catching up would only make frames that nobody reads.
        return (now if now - due_at_s > self._period_s else due_at_s) + self._period_s

    def _read_all(self) -> None:
        due_at_s, seq = self._clock(), 0
        while not self._stopping.is_set() and (not self._limit or seq < self._limit):
            item = self._source.read()
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
