"""The loop that owns the listener: messages in, replies out, and who computes.

One thread, the one that calls `run`.  Engines hand their replies over through the exchange and wake it.
"""

from __future__ import annotations

from collections.abc import Callable

from cloud_runtime.engine import Engines
from cloud_runtime.exchange import Exchange
from split_core import wire
from split_core.telemetry.metrics import CloudMetrics
from split_core.transport.base import Listener

# Work shorter than this is done between two messages: handing it to a thread and back takes 0.13-0.2 ms,
# more than most of it takes (benchmarks/offload.py), and a probe can wait for that.
HERE_S = 0.0005
BURST = 64  # messages taken in before anything else is done
PATIENCE_S = 0.5  # how long the loop sleeps when nothing happens; `live` expects it to turn
LAST_WORDS_S = 0.1  # ZeroMQ does not tell when bytes have left, and closing drops what has not


class Server:
    """See the module.

    Args:
        listener: owned from here on.
        exchange, engines: the worker's core, and who computes.
        metrics: where unsent replies are counted.
        clock: monotonic seconds.
        drain_s: how long to go on after `stop`.
        computes_here: may this thread run segments itself?
    """

    def __init__(
        self,
        listener: Listener,
        exchange: Exchange,
        metrics: CloudMetrics,
        *,
        clock: Callable[[], float],
        drain_s: float,
        computes_here: bool,
    ) -> None:
        self._listener, self._exchange, self._metrics = listener, exchange, metrics
        self._clock, self._drain_s, self._computes_here = clock, drain_s, computes_here
        self._sleeping = False
        self._stop = False
        self.turned_s = clock()

    def wake(self) -> None:
        """There are replies to send, or it is time to stop; from any thread."""
        if self._sleeping:
            self._listener.wake()

    def stop(self) -> None:
        """Let `run` come to its end; from any thread or a signal handler."""
        self._stop = True
        self._listener.wake()

    @property
    def stopping(self) -> bool:
        """Was it told to stop?"""
        return self._stop

    def alive(self) -> bool:
        """Does the loop turn?"""
        return self._clock() - self.turned_s < 10 * PATIENCE_S

    def run(self, engines: Engines) -> None:
        """Serve until `stop`, then finish or refuse what was taken, then close the listener."""
        while not self._stop:
            self.turn(engines, PATIENCE_S)
        with engines.lock:
            self._exchange.stop()
        give_up_s = self._clock() + self._drain_s
        while not self._exchange.idle and self._clock() < give_up_s:
            self.turn(engines, give_up_s - self._clock())
        with engines.lock:
            self._exchange.abandon()
        close_s = self._clock() + LAST_WORDS_S
        while self._clock() < close_s:
            self.turn(engines, close_s - self._clock())
        self._listener.close()

    def turn(self, engines: Engines, patience_s: float) -> None:
        """Once around: take in, answer, compute or call somebody who does, sleep if there is nothing to do."""
        self.turned_s = self._clock()
        with engines.lock:
            more = self._take_in()
            here = self._delegate(engines)
        self._send(engines)
        if here:
            engines.work_here()
            self._send(engines)
        self._sleeping = True  # before the last look, so that no wake falls between the two
        if not more and not self._exchange.has_replies:
            self._listener.wait(min(patience_s, PATIENCE_S))
        self._sleeping = False

    def _take_in(self) -> bool:
        """Receive what is there; True when there may be more."""
        for _ in range(BURST):
            arrived = self._listener.receive()
            if arrived is None:
                return False
            self._exchange.receive(*arrived, self._clock())
        return True

    def _delegate(self, engines: Engines) -> bool:
        """Call an engine if something waits; True when it is so little that this thread should do it."""
        if not self._exchange.queued_rows:
            return False
        if self._computes_here and self._exchange.work_s() < HERE_S:
            return True
        engines.call()
        return False

    def _send(self, engines: Engines) -> None:
        if not self._exchange.has_replies:
            return
        with engines.lock:
            replies = self._exchange.replies()
        for peer, message in replies:
            if not self._listener.send(peer, wire.encode(message)):
                self._metrics.unsent()
