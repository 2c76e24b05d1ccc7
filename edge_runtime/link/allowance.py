"""How much may be sent over a link that is metered.  Pure: callers pass `now` in seconds."""

from __future__ import annotations

import math

HOUR_S = 3600.0
BURST = 0.1  # of an hour's bytes may be sent at once; the rest comes evenly


class Bucket:
    """A token bucket that lets through whatever comes while anything is in it, and is overdrawn by one item at most.

    Args:
        per_s: tokens that come in; infinity is without limit.
        burst: tokens that it holds, and begins with.
    """

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s, self._burst, self._tokens = per_s, burst, burst
        self._at_s = math.inf

    def allows(self, now: float) -> bool:
        """Is there anything left to take?"""
        self._fill(now)
        return self._tokens > 0.0

    def take(self, count: float, now: float) -> None:
        """So much was sent."""
        self._fill(now)
        self._tokens -= count

    def _fill(self, now: float) -> None:
        if math.isinf(self._per_s):
            self._tokens = self._burst
        elif now > self._at_s:
            self._tokens = min(self._burst, self._tokens + (now - self._at_s) * self._per_s)
        self._at_s = now


class Allowance:
    """What a device may send.

    Args:
        bytes_per_hour: in no hour more, but for one payload; 0 is without limit.
        per_s: offloads a second, evenly; 0 is without limit.

    Attributes:
        spent_bytes: since the start.
    """

    def __init__(self, bytes_per_hour: float = 0.0, per_s: float = 0.0) -> None:
        burst = BURST * bytes_per_hour
        self._bytes = Bucket((bytes_per_hour - burst) / HOUR_S, burst) if bytes_per_hour else _unlimited()
        self._offloads = Bucket(per_s, 1.0) if per_s else _unlimited()
        self.spent_bytes = 0

    def allows(self, now: float) -> bool:
        """May anything be sent now?"""
        return self._bytes.allows(now) and self._offloads.allows(now)

    def spend(self, payload_bytes: int, now: float) -> None:
        """Something was sent."""
        self._bytes.take(payload_bytes, now)
        self._offloads.take(1.0, now)
        self.spent_bytes += payload_bytes


def _unlimited() -> Bucket:
    return Bucket(math.inf, 1.0)
