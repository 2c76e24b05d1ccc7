"""The way to the worker, measured without a frame: a greeting now and then, while nothing else tells.

A policy that believes the way to be long sends nothing, and would never find out that it is short.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

FIRST, FIRST_EVERY_S = 4, 0.2  # as soon as there is a worker
EVERY_S = 10.0  # later on, while nothing else is sent
PATIENCE_S = 1.0  # with an answer
NEWEST = 4  # greetings; the quickest of them counts: the others may have waited for a frame's segments


@dataclass(frozen=True, slots=True)
class Greeting:
    """An answered one.

    Attributes:
        way_ms: of the quickest of the newest ones.
        payload_bytes: of a greeting.
        idle_s: how long nothing had been sent before it.
    """

    way_ms: float
    payload_bytes: int
    idle_s: float


class Greetings:
    """When to greet, and what came of it.  Pure: callers pass `now` in seconds."""

    def __init__(self) -> None:
        self._sent, self._id, self._sent_at_s, self._idle_s = 0, -1, float("-inf"), 0.0
        self._newest: deque[float] = deque(maxlen=NEWEST)
        self._untold: Greeting | None = None

    def due(self, now: float, idle_s: float) -> bool:
        """Is it time to greet?  The worker must be there, and nothing in flight."""
        if self._id >= 0 and now - self._sent_at_s < PATIENCE_S:
            return False
        gap_s = FIRST_EVERY_S if self._sent < FIRST else EVERY_S
        return idle_s >= gap_s and now - self._sent_at_s >= gap_s

    def greeted(self, request_id: int, now: float, idle_s: float) -> None:
        """One was sent."""
        self._sent += 1
        self._id, self._sent_at_s, self._idle_s = request_id, now, idle_s

    def answered(self, request_id: int, now: float, payload_bytes: int) -> None:
        """An answer came; one that is not the newest one's, or late, says nothing."""
        if request_id != self._id or now - self._sent_at_s > PATIENCE_S:
            return
        self._id = -1
        self._newest.append((now - self._sent_at_s) * 1e3)
        self._untold = Greeting(min(self._newest), payload_bytes, self._idle_s)

    def heard(self) -> Greeting | None:
        """What was answered since the last call."""
        found, self._untold = self._untold, None
        return found
