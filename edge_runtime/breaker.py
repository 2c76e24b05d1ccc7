"""Is the cloud worth asking?  Pure: no socket, no clock; callers pass `now` in seconds.

    open --probe answered in time--> closed --`failures` in a row, or nobody to send to--> open

It begins open: the first answered probe is the handshake.  While open, nothing is offloaded and a probe
goes out every `probe_every_s`, so that the cloud is used again soon after it returns.  A BUSY worker is
not a broken one: `hold` keeps offloads back for as long as it asked.
"""

from __future__ import annotations


class Breaker:
    """Decides whether frames may be offloaded.

    Args:
        failures: lost offloads in a row that open it.
        probe_every_s: time between probes while open.
        answer_within_s: a probe that is answered later than this does not close it: a link that slow is
            of no use to any frame.
    """

    def __init__(self, *, failures: int = 2, probe_every_s: float = 0.2, answer_within_s: float = 1.0) -> None:
        self._limit, self._probe_every_s, self._answer_within_s = failures, probe_every_s, answer_within_s
        self._failures = 0
        self._open = True
        self._next_probe_at_s = float("-inf")
        self._held_until_s = float("-inf")
        self._probes: dict[int, float] = {}

    @property
    def is_open(self) -> bool:
        """Is nothing offloaded?"""
        return self._open

    def allows(self, now: float) -> bool:
        """May a frame be offloaded now?"""
        return not self._open and now >= self._held_until_s

    def succeeded(self) -> None:
        """An offload was answered in time."""
        self._failures = 0

    def failed(self, now: float) -> None:
        """An offload was lost, or there was nobody to send it to."""
        self._failures += 1
        if self._failures >= self._limit:
            self.trip(now)

    def trip(self, now: float) -> None:
        """Open at once."""
        if not self._open:
            self._open = True
            self._next_probe_at_s = now
            self._probes.clear()

    def hold(self, until_s: float) -> None:
        """The worker asked for patience."""
        self._held_until_s = max(self._held_until_s, until_s)

    def probe_due(self, now: float) -> bool:
        """Is it time to send a probe?"""
        return self._open and now >= self._next_probe_at_s

    def probe_at(self) -> float | None:
        """When the next probe is due; None while closed."""
        return self._next_probe_at_s if self._open else None

    def probed(self, request_id: int, now: float) -> None:
        """A probe was sent, or tried."""
        self._next_probe_at_s = now + self._probe_every_s
        self._probes[request_id] = now
        for stale in [number for number, at in self._probes.items() if now - at > self._answer_within_s]:
            del self._probes[stale]

    def probe_answered(self, request_id: int, now: float) -> bool:
        """A probe's answer came; True when that closes the breaker."""
        sent_at_s = self._probes.pop(request_id, None)
        if not self._open or sent_at_s is None or now - sent_at_s > self._answer_within_s:
            return False
        self._open, self._failures = False, 0
        self._probes.clear()
        return True
