"""The way of outcomes to their outlets: filtered, through a bounded queue, counted, and ended in bounded time."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence

from edge_runtime.frames.outcomes import Outcome
from edge_runtime.sinks.base import Outlet
from edge_runtime.sinks.wanted import Wanted
from split_core.telemetry.background import BackgroundWriter
from split_core.telemetry.decisions import FrameRecord

DRAIN_S = 3.0  # for all sinks together, when the program ends


class Sink:
    """One outlet with its queue and thread; called for every outcome.

    Args:
        name: for metrics, and for the thread.
        outlet: opened here, and closed in the thread.
        wanted: which outcomes it gets.
        queue: outcomes that may wait; further ones are lost.
    """

    def __init__(self, name: str, outlet: Outlet, *, wanted: Wanted, queue: int) -> None:
        self.name, self._outlet, self._wanted = name, outlet, wanted
        self._taken = self._full = self._settled = 0
        self._lost: Counter[str] = Counter()
        self._counting, self._given_up = threading.Lock(), False
        outlet.open()
        self._writer: BackgroundWriter[Outcome] = BackgroundWriter(
            self._deliver, f"sink-{name}", queue, linger_s=outlet.linger_s, finish=outlet.close
        )

    @property
    def lost(self) -> dict[str, int]:
        """Outcomes that it wanted and did not deliver, by reason; "full" found no room, "closing" had no time left."""
        with self._counting:
            return {**({"full": self._full} if self._full else {}), **self._lost}

    def __call__(self, outcome: Outcome, _: FrameRecord | None = None) -> None:
        """Take one outcome; never blocks, never raises."""
        if not self._wanted(outcome):
            return
        if self._writer.put(outcome):
            self._taken += 1
        else:
            self._full += 1

    def begin_close(self) -> None:
        """No further outcome comes; returns at once."""
        self._writer.closing.set()

    def close(self, within_s: float = DRAIN_S) -> None:
        """Deliver what is waiting; what takes longer is lost."""
        self._writer.close(within_s)
        with self._counting:
            self._given_up = True
            if left := self._taken - self._settled:
                self._lost["closing"] += left
                self._settled = self._taken

    def _deliver(self, batch: list[Outcome]) -> None:
        step = self._outlet.at_once
        for first in range(0, len(batch), step):
            if self._given_up:
                return
            chunk = batch[first : first + step]
            self._settle(len(chunk), self._outlet.deliver(chunk, self._writer.closing))

    def _settle(self, count: int, lost: Mapping[str, int]) -> None:
        with self._counting:
            if not self._given_up:
                self._settled += count
                self._lost.update(lost)


def losses(sinks: Sequence[Sink]) -> dict[str, dict[str, int]]:
    """What was lost, by sink and reason; nothing of those that lost nothing."""
    return {sink.name: lost for sink in sinks if (lost := sink.lost)}


def close_all(sinks: Sequence[Sink], within_s: float = DRAIN_S) -> None:
    """Deliver what is waiting, in all of them at the same time."""
    for sink in sinks:
        sink.begin_close()
    end_at_s = time.monotonic() + within_s
    for sink in sinks:
        sink.close(max(0.0, end_at_s - time.monotonic()))
