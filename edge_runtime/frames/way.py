"""How long the way to the worker takes now: the link's line, what resting adds, and the worker's queue.

A link that has rested is slower at first: radios sleep, and TCP begins again with a small window.  What that adds is
measured on offloads that were sent after a rest, and expected of those that would be.  Of an offload that was given up
it is known that it would have taken longer; to leave these out would make a link the better the more of them it loses.
"""

from __future__ import annotations

from bandits.link_estimate import LinkModel

REST_S = 1.0  # of a link that nothing was sent over
RATE = 0.1  # weight of a new measurement of what resting adds, and of the queue
SILENCE_S = 10.0  # without an answer; then what was measured begins to fade
LINK_HALF_LIFE_S = 300.0
QUEUE_HALF_LIFE_S = 5.0  # a worker's queue is another one soon


class Way:
    """From handing over a payload to its answer, without the worker's computing.

    Args:
        link: fitted to what is left when resting and queue are taken away.

    Attributes:
        link: as given.
        queue_ms: expected in the worker.
        rest_ms: that an offload takes longer after a rest.
        rested: is that so now?
    """

    def __init__(self, link: LinkModel) -> None:
        self.link, self.queue_ms, self.rest_ms, self.rested = link, 0.0, 0.0, True
        self._heard, self._heard_at_s, self._faded_at_s = False, 0.0, 0.0

    def ms(self, payload_bytes: float) -> float:
        """Expected for a payload of this size, now."""
        return self.link.ms(payload_bytes) + self.queue_ms + (self.rest_ms if self.rested else 0.0)

    def observe(self, payload_bytes: int, link_ms: float, idle_s: float) -> None:
        """One offload came back.

        Args:
            payload_bytes: sent.
            link_ms: round trip without the worker's part.
            idle_s: how long nothing had been sent before it.
        """
        self._heard = True
        if idle_s >= REST_S:
            added = link_ms - self.link.ms(payload_bytes)
            self.rest_ms = max(0.0, self.rest_ms + RATE * (added - self.rest_ms))
            link_ms -= self.rest_ms
        self.link.observe(payload_bytes, link_ms)

    def greeted(self, payload_bytes: int, way_ms: float, idle_s: float) -> None:
        """A greeting came back: what to believe of offloads where none is known."""
        rest_ms = self.rest_ms if idle_s >= REST_S else 0.0
        self.link.believe(way_ms - rest_ms - self.link.slope * payload_bytes / 1e3)

    def waited(self, queue_ms: float) -> None:
        """A frame's offload waited so long in the worker."""
        self.queue_ms += RATE * (queue_ms - self.queue_ms)

    def lost(self, payload_bytes: int, waited_ms: float) -> None:
        """An offload was given up: it would have taken longer than that, and than was expected."""
        self.link.observe(payload_bytes, max(waited_ms, self.link.ms(payload_bytes)))

    def at(self, now: float, idle_s: float) -> bool:
        """Time has passed; True when that changes what is expected.

        Args:
            now: monotonic seconds.
            idle_s: how long nothing has been sent.
        """
        rested, before = idle_s >= REST_S, self.rested
        self.rested = rested
        if self._heard:
            self._heard, self._heard_at_s = False, now
        if now - max(self._heard_at_s + SILENCE_S, self._faded_at_s) < 1.0:
            return rested != before and self.rest_ms > 0.0
        self._fade(now - max(self._heard_at_s, self._faded_at_s))
        self._faded_at_s = now
        return True

    def _fade(self, seconds: float) -> None:
        self.link.fade(0.5 ** (seconds / LINK_HALF_LIFE_S))
        self.queue_ms *= 0.5 ** (seconds / QUEUE_HALF_LIFE_S)
