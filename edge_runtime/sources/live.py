"""A camera that may go away, hang, or change: read, watched, and opened again for as long as the program runs."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from edge_runtime.sources.backoff import Backoff
from edge_runtime.sources.base import Frame, LiveSource
from edge_runtime.sources.gate import Motion, Rate
from edge_runtime.sources.slot import NewestFrame
from split_core.errors import SourceError

FIRST_S = 10.0  # for the first frame: to connect, and to wait for a picture that stands alone
HEALTHY_S = 10.0  # of frames, and what was wrong before is forgotten
LOOK_S = 0.1  # between two looks at whether frames come
MOST_HUNG = 4  # readers that are stuck in a driver; a thread cannot be ended from outside


class Life:
    """One connection: a thread that reads until the source ends, fails, or is left.

    Args:
        source: opened, read and closed by the thread alone.
        take: called in the thread with every picture that was grabbed.
        clock: monotonic seconds.

    Attributes:
        heard_at_s: when the last picture came; None before the first.
        error: why it ended; None when the source simply did.
        over: set at the end.
        left: nobody wants its pictures any more.
    """

    def __init__(self, source: LiveSource, take: Callable[[Life, float], None], clock: Callable[[], float]) -> None:
        self.source, self._take, self._clock = source, take, clock
        self.began_at_s = clock()
        self.heard_at_s: float | None = None
        self.error: SourceError | None = None
        self.over, self.left = threading.Event(), False
        threading.Thread(target=self._run, name="camera", daemon=True).start()

    def _run(self) -> None:
        try:
            while not self.left and self.source.grab():
                self.heard_at_s = self._clock()
                if not self.left:
                    self._take(self, self.heard_at_s)
        except SourceError as error:
            self.error = error
        finally:
            self.source.close()
            self.over.set()

    def silent(self, now: float, watchdog_s: float) -> bool:
        """Has no picture come for too long?"""
        if self.heard_at_s is None:
            return now - self.began_at_s > max(FIRST_S, watchdog_s)
        return now - self.heard_at_s > watchdog_s


class LiveFeed:
    """See the module.  Has the attributes and methods of `Feed`; never ends by itself but by `limit`.

    Args:
        make: a source that was never opened; called for every connection.
        fps: frames per second at most; further ones are dropped, not delayed.
        limit: stop after so many frames; 0 for no limit.
        motion: share of the picture that must have changed; 0 lets all through.
        watchdog_s: without a picture for so long, the connection is given up.
        tell: told in one line when pictures stop and when they come again.
        clock: monotonic seconds.
        wake: called after every frame and at the end.
        rng: of the waiting times.

    Attributes:
        slot: the newest frame.
        error: always None: what goes wrong with a camera is no end.
        sees: do pictures come?
        connections: that were made, the first included.
    """

    error: SourceError | None = None

    def __init__(
        self,
        make: Callable[[], LiveSource],
        *,
        fps: float,
        limit: int,
        motion: float,
        watchdog_s: float,
        tell: Callable[[str], None],
        clock: Callable[[], float],
        wake: Callable[[], None],
        rng: np.random.Generator,
    ) -> None:
        self.slot, self.sees, self.connections = NewestFrame(), False, 0
        self._make, self._limit, self._watchdog_s = make, limit, watchdog_s
        self._rate, self._motion, self._backoff = Rate(fps), Motion(motion), Backoff(rng)
        self._tell, self._clock, self._wake = tell, clock, wake
        self._seq, self._lost_at_s, self._said = 0, clock(), ""
        self._stopping, self._hung = threading.Event(), list[Life]()
        self._thread = threading.Thread(target=self._run, name="source", daemon=True)

    @property
    def ended(self) -> bool:
        """Will no further frame come?"""
        return not self._thread.is_alive()

    def pace(self, fps: float) -> None:
        """See `Feed.pace`."""
        self._rate.fps = fps

    def start(self) -> None:
        """See `Feed.start`."""
        self._thread.start()

    def stop(self) -> None:
        """See `Feed.stop`."""
        self._stopping.set()
        self._thread.join(timeout=1.0)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                if self._room():
                    self._live()
                self._stopping.wait(self._backoff.next_s())
        finally:
            self._wake()

    def _room(self) -> bool:
        self._hung = [life for life in self._hung if not life.over.is_set()]
        if len(self._hung) < MOST_HUNG:
            return True
        self._say(f"lost: {MOST_HUNG} readers hang in its driver; waiting for one of them")
        return False

    def _live(self) -> None:
        """One connection, from its beginning to its end."""
        self.connections += 1
        life = Life(self._make(), self._take, self._clock)
        self._watch(life)
        life.left, seen, self.sees = True, self.sees, False
        if self._stopping.is_set():
            return
        if not life.over.is_set():
            self._hung.append(life)
        if seen:
            self._lost_at_s = self._clock()
        silence = "no pictures come" if life.heard_at_s is not None else "it gives no first picture"
        self._say(f"lost: {life.error or (silence if not life.over.is_set() else 'the stream has ended')}")

    def _watch(self, life: Life) -> None:
        while not (self._stopping.is_set() or life.over.wait(LOOK_S)):
            now = self._clock()
            if life.silent(now, self._watchdog_s):
                return
            if self.sees and now - life.began_at_s > HEALTHY_S:
                self._backoff.healthy()

    def _take(self, life: Life, now: float) -> None:
        """A picture, in the thread of its connection."""
        if not self.sees:
            self.sees = True
            away_s = now - self._lost_at_s
            self._say(f"pictures come again, after {away_s:.1f} s" if self._said else "pictures come")
        if not self._rate.passes(now):
            return self.slot.drop("rate")
        item = life.source.item()
        if item is None:
            return self.slot.drop("unreadable")
        if not self._motion.passes(item, now):
            return self.slot.drop("still")
        self.slot.put(Frame(self._seq, now, item))
        self._seq += 1
        if self._limit and self._seq >= self._limit:
            life.left = True
            self._stopping.set()
        return self._wake()

    def _say(self, line: str) -> None:
        if line != self._said:
            self._said = line
            self._tell(line)
