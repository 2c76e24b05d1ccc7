"""The device's half of the conversation with one worker: payloads out, verdicts in.

Pure apart from the channel it is given: it never blocks and never raises for a network reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from edge_runtime.link.breaker import Breaker
from edge_runtime.link.greetings import Greeting, Greetings
from edge_runtime.link.ledger import Ledger
from edge_runtime.link.network import Network
from split_core import wire
from split_core.codecs.base import Encoded
from split_core.errors import WireError
from split_core.tensors import Array
from split_core.transport.base import Channel

PROBES_BEFORE_SAYING_SO = 5  # a connection that is just being made is not worth a line
RATE = 0.2  # weight of a new measurement of the worker's queue


@dataclass(frozen=True)
class Parcel:
    """A payload, packed.

    Attributes:
        cut: where the worker starts.
        codec: by whose name the worker unpacks it.
        tensors: encoded.
        encode_ms: how long that took.
        network: whose they are.
    """

    cut: int
    codec: str
    tensors: tuple[Encoded, ...]
    encode_ms: float
    network: Network

    @property
    def payload_bytes(self) -> int:
        """Bytes of all tensors."""
        return sum(len(tensor.data) for tensor in self.tensors)


@dataclass(frozen=True, slots=True)
class Sending:
    """One offload: what is needed to go on when its answer comes, or does not.

    Attributes:
        ticket: the loop's own: which frame this is.
        parcel: what is sent.
        deadline_at_s: when the answer is of no use any more.
        due_at_s: when it is given up.
        idle_s: how long nothing had been sent before it.
        sent_at_s: when.
        epoch: of the worker's breaker.
    """

    ticket: object
    parcel: Parcel
    deadline_at_s: float
    due_at_s: float
    idle_s: float
    sent_at_s: float = 0.0
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """A verdict that found its entry.

    Attributes:
        ticket: as given to `submit`.
        logits: (C,) float32 of exit `exit`.
        link_ms: round trip without the worker's queue and compute.
        idle_s: how long nothing had been sent before it.
    """

    ticket: object
    exit: int
    logits: Array
    link_ms: float
    queue_ms: float
    cloud_ms: float
    idle_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Loss:
    """An offload that will not be answered: `reason` is "timeout", "busy" or "refused".

    Attributes:
        ticket: as given to `submit`.
        reason: why.
        waited_ms: of a timeout.
        sending: what a busy worker sent back unread; another one may take it.
    """

    ticket: object
    reason: str
    waited_ms: float = 0.0
    sending: Sending | None = None


class WorkerLink:
    """Sends to one worker, and matches its answers to what was sent.

    Args:
        channel: owned by the loop's thread.
        hello: what to say at connect; its `request_id` is replaced.
        ledger, breaker: pure bookkeeping.
        clock: monotonic seconds.
        on_change: told in one line when the link's state changes.
        greetings: when to measure the way without a frame; None never does.

    Attributes:
        channel, breaker, hello: as given.
        queue_ms: that offloads wait there, as measured.
    """

    def __init__(
        self,
        channel: Channel,
        hello: wire.Hello,
        *,
        ledger: Ledger[Sending],
        breaker: Breaker,
        clock: Callable[[], float],
        on_change: Callable[[str], None],
        greetings: Greetings | None = None,
    ) -> None:
        self.channel, self.hello, self.breaker = channel, hello, breaker
        self._ledger, self._clock, self._on_change, self._greetings = ledger, clock, on_change, greetings
        self._audits: Ledger[Sending] = Ledger(1)
        self._said, self._unanswered = "", 0
        self.queue_ms = 0.0

    def available(self, now: float) -> bool:
        """May a frame be sent there now?"""
        return self.breaker.allows(now) and not self._ledger.full

    @property
    def in_flight(self) -> int:
        """Frames that wait for its answer."""
        return len(self._ledger)

    @property
    def auditing(self) -> bool:
        """Is an audit in flight?"""
        return self._audits.full

    def send(self, sending: Sending) -> bool:
        """A frame's payload; False when nobody takes it, and then nothing is in flight."""
        now, request_id = self._clock(), self._ledger.new_id()
        if self._ledger.full or not self._put(request_id, sending, (sending.deadline_at_s - now) * 1e3):
            self._fail(now, "nobody to send to")
            return False
        self._ledger.open(request_id, _stamped(sending, now, self.breaker.epoch), sending.due_at_s)
        self.breaker.sent()
        return True

    def send_audit(self, sending: Sending) -> bool:
        """What no frame waits for.

        It leaves the breaker alone, lost or answered: what is late for a frame is not for an audit.
        """
        now, request_id = self._clock(), self._ledger.new_id()
        if not self._put(request_id, sending, (sending.due_at_s - now) * 1e3):
            return False
        self._audits.open(request_id, _stamped(sending, now, self.breaker.epoch), sending.due_at_s)
        return True

    def _put(self, request_id: int, sending: Sending, left_ms: float) -> bool:
        parcel = sending.parcel
        bundle_id = parcel.network.bundle_id
        message = wire.Offload(request_id, bundle_id, parcel.cut, parcel.codec, left_ms, parcel.tensors)
        return self.channel.send(wire.encode(message))

    def poll(self) -> Iterator[Reply | Loss]:
        """Everything that was answered, refused or lost since the last call; sends a probe that is due."""
        while (frames := self.channel.receive()) is not None:
            event = self._take(frames)
            if event is not None:
                yield event
        now = self._clock()
        while (entry := self._ledger.pop_due(now)) is not None:
            self._fail(now, "no answer in time", entry.epoch)
            yield Loss(entry.ticket, "timeout", (now - entry.sent_at_s) * 1e3)
        while (entry := self._audits.pop_due(now)) is not None:
            yield Loss(entry.ticket, "timeout")
        if self.breaker.probe_due(now):
            self._probe(now)

    def next_event_at(self) -> float | None:
        """When `poll` must be called at the latest; None when nothing is pending."""
        moments = [at for at in (self.next_due_at(), self.breaker.probe_at()) if at is not None]
        return min(moments, default=None)

    def next_due_at(self) -> float | None:
        """When the next offload will be given up; None when nothing is in flight."""
        return self._ledger.next_due_at()

    def greet(self, idle_s: float) -> Greeting | None:
        """Measure the way, where nothing else has told of it for long; what was measured since the last call.

        Args:
            idle_s: how long nothing has been sent.
        """
        now = self._clock()
        if not self._greetings:
            return None
        if not self.breaker.is_open and self._greetings.due(now, idle_s):
            self._greetings.greeted(self._greet(), now, idle_s)
        return self._greetings.heard()

    def _greet(self) -> int:
        request_id = self._ledger.new_id()
        self.channel.send(wire.encode(replace(self.hello, request_id=request_id)))
        return request_id

    def _probe(self, now: float) -> None:
        self.breaker.probed(self._greet(), now)
        self._unanswered += 1
        if self._unanswered == PROBES_BEFORE_SAYING_SO:
            self._say("does not answer")

    def _take(self, frames: list[bytes]) -> Reply | Loss | None:
        try:
            message = wire.decode(frames)
        except WireError:  # a worker that answers garbage is one that does not answer
            return None
        self._unanswered = 0
        if isinstance(message, wire.Welcome):
            self._take_welcome(message, sum(len(frame) for frame in frames))
            return None
        if isinstance(message, wire.Verdict):
            return self._take_verdict(message)
        return self._take_refusal(message) if isinstance(message, wire.Refusal) else None

    def _take_welcome(self, welcome: wire.Welcome, message_bytes: int) -> None:
        if welcome.bundle_id != self.hello.bundle_id:
            return
        now = self._clock()
        if self._greetings:
            self._greetings.answered(welcome.request_id, now, message_bytes)
        if self.breaker.probe_answered(welcome.request_id, now):
            self._say(f"connected to {welcome.worker}")

    def _take_verdict(self, verdict: wire.Verdict) -> Reply | None:
        request_id, logits = verdict.request_id, np.frombuffer(verdict.logits, np.float32)
        entry = self._ledger.find(request_id) or self._audits.find(request_id)
        if entry is None or not entry.parcel.network.says(verdict.exit, logits):
            return None  # late, or not an answer of this network: its frame goes on to its local one
        if self._ledger.close(request_id) is not None:
            self.breaker.succeeded()
            self.queue_ms += RATE * (verdict.queue_ms - self.queue_ms)
        else:
            self._audits.close(request_id)
        total_ms = (self._clock() - entry.sent_at_s) * 1e3
        link_ms = max(0.0, total_ms - verdict.queue_ms - verdict.cloud_ms)
        return Reply(entry.ticket, verdict.exit, logits, link_ms, verdict.queue_ms, verdict.cloud_ms, entry.idle_s)

    def _take_refusal(self, refusal: wire.Refusal) -> Loss | None:
        now, busy = self._clock(), refusal.code in ("busy", "stopping")
        if refusal.code in ("mismatch", "version"):
            self.breaker.trip(now)
            self._say(f"the worker refuses this device: {refusal.reason}")
        elif busy:
            self.breaker.hold(now + refusal.retry_after_ms / 1e3)
        entry = self._ledger.close(refusal.request_id)
        if entry is not None:
            self.breaker.refused()
            if refusal.code in ("malformed", "failed"):
                self._fail(now, refusal.reason, entry.epoch)
            return Loss(entry.ticket, "busy" if busy else "refused", sending=entry if busy else None)
        entry = self._audits.close(refusal.request_id)
        return Loss(entry.ticket, "busy" if busy else "refused") if entry else None

    def _fail(self, now: float, reason: str, epoch: int | None = None) -> None:
        was_open = self.breaker.is_open
        self.breaker.failed(now, epoch)
        if self.breaker.is_open and not was_open:
            self._say(f"lost: {reason}")

    def _say(self, line: str) -> None:
        if line != self._said:
            self._said = line
            self._on_change(line)


def _stamped(sending: Sending, now: float, epoch: int) -> Sending:
    return replace(sending, sent_at_s=now, epoch=epoch)
