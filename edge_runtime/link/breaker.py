"""Is a worker worth asking?  Pure: no socket, no clock; callers pass `now` in seconds.

    open --probe answered in time--> half open --trial answered--> closed --`failures` in a row--> open
                                     half open --trial lost------> open, and the next probe waits twice as long

It begins open: the first answered probe is the handshake, and closes it.  While open, nothing is offloaded and a probe
goes out every `probe_every_s`, so that the cloud is used again soon after it returns.  Half open, one frame is
offloaded at a time: a worker that greets and does not answer costs one frame per probe, ever more seldom.
A BUSY worker is not a broken one: `hold` keeps offloads back for as long as it asked.
"""

from __future__ import annotations

from typing import Literal

State = Literal["closed", "half_open", "open"]
LONGEST_S = 1.6  # between probes of a worker that greets and does not answer


class Breaker:
    """Decides whether frames may be offloaded to one worker.

    Args:
        failures: lost offloads in a row that open it.
        probe_every_s: time between probes while open.
        answer_within_s: a probe that is answered later than this does not count: a link that slow is
            of no use to any frame.

    Attributes:
        state: "closed", "half_open" or "open".
        epoch: grows with every opening; what was sent in an earlier one and is lost does not count again.
    """

    def __init__(self, *, failures: int = 2, probe_every_s: float = 0.2, answer_within_s: float = 1.0) -> None:
        self._limit, self._probe_every_s, self._answer_within_s = failures, probe_every_s, answer_within_s
        self._failures, self._lost_trials, self._trying = 0, 0, False
        self.state: State = "open"
        self.epoch = 0
        self._next_probe_at_s = float("-inf")
        self._held_until_s = float("-inf")
        self._probes: dict[int, float] = {}

    @property
    def is_open(self) -> bool:
        """Is nothing offloaded?"""
        return self.state == "open"

    def allows(self, now: float) -> bool:
        """May a frame be offloaded now?"""
        return now >= self._held_until_s and (
            self.state == "closed" or (self.state == "half_open" and not self._trying)
        )

    def sent(self) -> None:
        """A frame was offloaded; half open, it is the trial."""
        self._trying = self.state == "half_open"

    def succeeded(self) -> None:
        """An offload was answered in time."""
        self._failures = 0
        if self.state == "half_open":
            self.state, self._lost_trials = "closed", 0

    def refused(self) -> None:
        """An offload came back, neither answered nor lost: half open, the next one is the trial."""
        self._trying = False

    def failed(self, now: float, epoch: int | None = None) -> None:
        """An offload was lost, or there was nobody to send it to.

        Args:
            now: seconds.
            epoch: when it was sent; None for now.
        """
        if epoch is not None and epoch != self.epoch:
            return
        self._failures += 1
        if self.state == "half_open":
            self._lost_trials += 1
            self.trip(now)
        elif self._failures >= self._limit:
            self.trip(now)

    def trip(self, now: float) -> None:
        """Open at once."""
        if not self.is_open:
            self.state, self._trying = "open", False
            self.epoch += 1
            wait_s = min(LONGEST_S, self._probe_every_s * 2.0 ** (self._lost_trials - 1)) if self._lost_trials else 0.0
            self._next_probe_at_s = now + wait_s
            self._probes.clear()

    def hold(self, until_s: float) -> None:
        """The worker asked for patience."""
        self._held_until_s = max(self._held_until_s, until_s)

    def probe_due(self, now: float) -> bool:
        """Is it time to send a probe?"""
        return self.is_open and now >= self._next_probe_at_s

    def probe_at(self) -> float | None:
        """When the next probe is due; None while not open."""
        return self._next_probe_at_s if self.is_open else None

    def probed(self, request_id: int, now: float) -> None:
        """A probe was sent, or tried."""
        self._next_probe_at_s = now + self._probe_every_s
        self._probes[request_id] = now
        for stale in [number for number, at in self._probes.items() if now - at > self._answer_within_s]:
            del self._probes[stale]

    def probe_answered(self, request_id: int, now: float) -> bool:
        """A probe's answer came; True when a frame may be tried."""
        sent_at_s = self._probes.pop(request_id, None)
        if not self.is_open or sent_at_s is None or now - sent_at_s > self._answer_within_s:
            return False
        self.state = "half_open" if self.epoch else "closed"
        self._failures, self._trying = 0, False
        self._probes.clear()
        return True
