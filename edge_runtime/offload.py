"""The device's half of the conversation with a worker: payloads out, verdicts in.

Pure apart from the channel it is given: it never blocks and never raises for a network reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edge_runtime.breaker import Breaker
from edge_runtime.ledger import Ledger
from split_core import wire
from split_core.codecs.base import Codec, Encoded
from split_core.errors import WireError
from split_core.tensors import Array
from split_core.transport.base import Channel

PROBES_BEFORE_SAYING_SO = 5  # a connection that is just being made is not worth a line


@dataclass(frozen=True)
class Parcel:
    """A payload, packed.

    Attributes:
        cut: where the worker starts.
        tensors: encoded.
        encode_ms: how long that took.
    """

    cut: int
    tensors: tuple[Encoded, ...]
    encode_ms: float

    @property
    def payload_bytes(self) -> int:
        """Bytes of all tensors."""
        return sum(len(tensor.data) for tensor in self.tensors)


@dataclass(frozen=True)
class InFlight:
    """One offload in the ledger: what is needed to go on when its answer comes, or does not."""

    ticket: object  # the loop's own: which frame this is
    parcel: Parcel
    sent_at_s: float
    idle_s: float  # before it


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
    """An offload that will not be answered: `reason` is "timeout", "busy" or "refused"."""

    ticket: object
    reason: str
    waited_ms: float = 0.0  # of a timeout


class Offloader:
    """Packs, sends, and matches answers to what was sent.

    Args:
        channel: owned by the loop's thread.
        hello: what to say at connect; its `request_id` is replaced.
        classes: how many logits a verdict has.
        exits: K.
        ledger, breaker: pure bookkeeping.
        codecs: `hidden` and `input` codec, by name.
        clock: monotonic seconds.
        on_change: told in one line when the link's state changes.
    """

    def __init__(
        self,
        channel: Channel,
        hello: wire.Hello,
        *,
        classes: int,
        exits: int,
        ledger: Ledger[InFlight],
        breaker: Breaker,
        codecs: dict[str, tuple[str, Codec]],
        clock: Callable[[], float],
        on_change: Callable[[str], None],
    ) -> None:
        self._channel, self._hello = channel, hello
        self._classes, self._exits = classes, exits
        self._ledger, self._breaker = ledger, breaker
        self._codecs, self._clock, self._on_change = codecs, clock, on_change
        self._said, self._unanswered = "", 0
        self._audits: Ledger[InFlight] = Ledger(1)
        self._sent_at_s = float("-inf")

    def introduce(self, hello: wire.Hello, codecs: dict[str, tuple[str, Codec]]) -> None:
        """Another policy file is in force: say so from now on, and pack as it says."""
        self._hello, self._codecs = hello, codecs

    def available(self, now: float) -> bool:
        """May a frame be offloaded now?"""
        return self._breaker.allows(now) and not self._ledger.full

    def reachable(self, now: float) -> bool:
        """Is there a worker, and does it want anything?"""
        return self._breaker.allows(now)

    def quiet(self, now: float) -> bool:
        """Could something be sent that disturbs nobody: is nothing in flight?"""
        return self.reachable(now) and not len(self._ledger) and not self._audits.full

    def idle_s(self, now: float) -> float:
        """How long nothing has been sent."""
        return now - self._sent_at_s

    def pack(self, cut: int, tensors: Sequence[Array]) -> tuple[Encoded, ...]:
        """Encode what crosses `cut`.

        Raises:
            CodecError: the tensors cannot be shipped (not finite, for example).
        """
        codec = self._codecs[_kind(cut)][1]
        return tuple(codec.encode(tensor) for tensor in tensors)

    def submit(self, parcel: Parcel, ticket: object, *, deadline_at_s: float, due_at_s: float) -> bool:
        """Send; False when there is nobody to send to, and then nothing is in flight.

        Args:
            parcel: what.
            ticket: comes back with the answer.
            deadline_at_s: when the answer is of no use any more.
            due_at_s: when to give it up, so that there is time for a local answer.
        """
        now, request_id = self._clock(), self._ledger.new_id()
        sent = InFlight(ticket, parcel, now, self.idle_s(now))
        if self._ledger.full or not self._send(request_id, parcel, (deadline_at_s - now) * 1e3):
            self._fail(now, "nobody to send to")
            return False
        self._ledger.open(request_id, sent, due_at_s)
        return True

    def submit_audit(self, parcel: Parcel, ticket: object, *, patience_s: float) -> bool:
        """Send what no frame waits for; False when there is nobody to send to.

        It leaves the breaker alone, lost or answered: what is late for a frame is not for an audit.
        """
        now, request_id = self._clock(), self._ledger.new_id()
        sent = InFlight(ticket, parcel, now, self.idle_s(now))
        if not self.quiet(now) or not self._send(request_id, parcel, patience_s * 1e3):
            return False
        self._audits.open(request_id, sent, now + patience_s)
        return True

    def _send(self, request_id: int, parcel: Parcel, left_ms: float) -> bool:
        codec = self._codecs[_kind(parcel.cut)][0]
        message = wire.Offload(request_id, self._hello.bundle_id, parcel.cut, codec, left_ms, parcel.tensors)
        if not self._channel.send(wire.encode(message)):
            return False
        self._sent_at_s = self._clock()
        return True

    def poll(self) -> list[Reply | Loss]:
        """Everything that was answered, refused or lost since the last call; sends probes that are due."""
        events: list[Reply | Loss] = []
        while (frames := self._channel.receive()) is not None:
            event = self._take(frames)
            if event is not None:
                events.append(event)
        now = self._clock()
        while (entry := self._ledger.pop_due(now)) is not None:
            self._fail(now, "no answer in time")
            events.append(Loss(entry.ticket, "timeout", (now - entry.sent_at_s) * 1e3))
        while (entry := self._audits.pop_due(now)) is not None:
            events.append(Loss(entry.ticket, "timeout"))
        if self._breaker.probe_due(now):
            self._probe(now)
        return events

    def next_event_at(self) -> float | None:
        """When `poll` must be called at the latest; None when nothing is pending."""
        moments = [at for at in (self.next_due_at(), self._breaker.probe_at()) if at is not None]
        return min(moments, default=None)

    def next_due_at(self) -> float | None:
        """When the next offload will be given up; None when nothing is in flight."""
        return self._ledger.next_due_at()

    def _probe(self, now: float) -> None:
        request_id = self._ledger.new_id()
        self._breaker.probed(request_id, now)
        self._unanswered += 1
        if self._unanswered == PROBES_BEFORE_SAYING_SO:
            self._say("no worker answers; every frame is answered here")
        hello = self._hello
        self._channel.send(
            wire.encode(wire.Hello(request_id, hello.camera, hello.bundle_id, hello.policy_id, hello.codecs))
        )

    def _take(self, frames: list[bytes]) -> Reply | Loss | None:
        try:
            message = wire.decode(frames)
        except WireError:  # a worker that answers garbage is one that does not answer
            return None
        self._unanswered = 0
        if isinstance(message, wire.Welcome):
            if message.bundle_id == self._hello.bundle_id and self._breaker.probe_answered(
                message.request_id, self._clock()
            ):
                self._say(f"connected to {message.worker}")
            return None
        if isinstance(message, wire.Verdict):
            return self._take_verdict(message)
        return self._take_refusal(message) if isinstance(message, wire.Refusal) else None

    def _take_verdict(self, verdict: wire.Verdict) -> Reply | None:
        logits = np.frombuffer(verdict.logits, np.float32)
        if logits.size != self._classes or not 1 <= verdict.exit <= self._exits or not np.isfinite(logits).all():
            return None  # not an answer of this network: its frame goes on to its local one
        entry = self._ledger.close(verdict.request_id)
        if entry is not None:
            self._breaker.succeeded()
        else:
            entry = self._audits.close(verdict.request_id)
        if entry is None:
            return None
        total_ms = (self._clock() - entry.sent_at_s) * 1e3
        link_ms = max(0.0, total_ms - verdict.queue_ms - verdict.cloud_ms)
        return Reply(entry.ticket, verdict.exit, logits, link_ms, verdict.queue_ms, verdict.cloud_ms, entry.idle_s)

    def _take_refusal(self, refusal: wire.Refusal) -> Loss | None:
        now = self._clock()
        if refusal.code in ("mismatch", "version"):
            self._breaker.trip(now)
            self._say(f"the worker refuses this device: {refusal.reason}")
        elif refusal.code in ("busy", "stopping"):
            self._breaker.hold(now + refusal.retry_after_ms / 1e3)
        entry = self._ledger.close(refusal.request_id)
        if entry is not None and refusal.code in ("malformed", "failed"):
            self._fail(now, refusal.reason)
        entry = entry or self._audits.close(refusal.request_id)
        if entry is None:
            return None
        return Loss(entry.ticket, "busy" if refusal.code in ("busy", "stopping") else "refused")

    def _fail(self, now: float, reason: str) -> None:
        was_open = self._breaker.is_open
        self._breaker.failed(now)
        if self._breaker.is_open and not was_open:
            self._say(f"cloud lost: {reason}")

    def _say(self, line: str) -> None:
        if line != self._said:
            self._said = line
            self._on_change(line)


def _kind(cut: int) -> str:
    return "hidden" if cut else "input"
