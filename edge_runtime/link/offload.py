"""The way to the cloud: one worker or several, what may be sent, and who gets it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edge_runtime.link.allowance import Allowance
from edge_runtime.link.greetings import Greeting
from edge_runtime.link.worker_link import Loss, Parcel, Reply, Sending, WorkerLink
from split_core import wire
from split_core.codecs.base import Codec, Encoded
from split_core.tensors import Array


class Offloader:
    """Packs payloads and finds a worker for each: of two that are drawn, the one that has less to do.

    A worker that cannot be sent to, or is busy, is passed over while there is another.

    Args:
        links: to the workers.
        codecs: `hidden` and `input` codec, by name.
        clock: monotonic seconds.
        rng: draws workers.
        allowance: of what may be sent.

    Attributes:
        links, allowance: as given.
    """

    def __init__(
        self,
        links: Sequence[WorkerLink],
        codecs: dict[str, tuple[str, Codec]],
        *,
        clock: Callable[[], float],
        rng: np.random.Generator,
        allowance: Allowance | None = None,
    ) -> None:
        if not links:
            raise ValueError("expected at least one link; one that leads nowhere is `transport.nobody`")
        self.links, self._codecs, self._clock, self._rng = tuple(links), codecs, clock, rng
        self.allowance = allowance or Allowance()
        self._sent_at_s = float("-inf")

    def introduce(self, hello: wire.Hello, codecs: dict[str, tuple[str, Codec]]) -> None:
        """Another policy file is in force: say so from now on, and pack as it says."""
        self._codecs = codecs
        for link in self.links:
            link.hello = hello

    def available(self, now: float) -> bool:
        """May a frame be offloaded now?"""
        return self.allowance.allows(now) and any(link.available(now) for link in self.links)

    def reachable(self, now: float) -> bool:
        """Is there a worker that wants anything, and may it be sent?"""
        return self.allowance.allows(now) and any(link.breaker.allows(now) for link in self.links)

    def quiet(self, now: float) -> bool:
        """Could something be sent that disturbs nobody: is nothing in flight?"""
        return self.reachable(now) and not any(link.in_flight or link.auditing for link in self.links)

    def idle_s(self, now: float) -> float:
        """How long nothing has been sent."""
        return now - self._sent_at_s

    def greet(self, now: float) -> Greeting | None:
        """While nothing is in flight: measure the ways to the workers; the shortest one that was measured since."""
        if any(link.in_flight or link.auditing for link in self.links):
            return None
        idle_s = self.idle_s(now)
        heard = [greeting for link in self.links if (greeting := link.greet(idle_s))]
        return min(heard, key=lambda greeting: greeting.way_ms, default=None)

    def codec_of(self, cut: int) -> tuple[str, Codec]:
        """What packs the tensors of a cut: its name, and itself."""
        return self._codecs["hidden" if cut else "input"]

    def pack(self, cut: int, tensors: Sequence[Array]) -> tuple[Encoded, ...]:
        """Encode what crosses `cut`.

        Raises:
            CodecError: the tensors cannot be shipped (not finite, for example).
        """
        _, codec = self.codec_of(cut)
        return tuple(codec.encode(tensor) for tensor in tensors)

    def submit(self, parcel: Parcel, ticket: object, *, deadline_at_s: float, due_at_s: float) -> bool:
        """Send; False when there is nobody to send to, and then nothing is in flight.

        Args:
            parcel: what.
            ticket: comes back with the answer.
            deadline_at_s: when the answer is of no use any more.
            due_at_s: when to give it up, so that there is time for a local answer.
        """
        now = self._clock()
        return self._find(Sending(ticket, parcel, deadline_at_s, due_at_s, self.idle_s(now)), now)

    def _find(self, sending: Sending, now: float) -> bool:
        return any(self._send(link, sending, now) for link in self._candidates(now))

    def _candidates(self, now: float) -> list[WorkerLink]:
        """Those that may be asked, the best first: the less busy of two that are drawn, then the rest."""
        able = [link for link in self.links if link.available(now)]
        if len(able) > 1:
            able = [able[place] for place in self._rng.permutation(len(able))]
            able[:2] = sorted(able[:2], key=lambda link: (link.in_flight, link.queue_ms))
        return able

    def _send(self, link: WorkerLink, sending: Sending, now: float) -> bool:
        if not link.send(sending):
            return False
        self._sent_at_s = self._clock()
        self.allowance.spend(sending.parcel.payload_bytes, now)
        return True

    def submit_audit(self, parcel: Parcel, ticket: object, *, patience_s: float) -> bool:
        """Send what no frame waits for; False when there is nobody to send to."""
        now = self._clock()
        if not self.quiet(now):
            return False
        until_s = now + patience_s
        sending = Sending(ticket, parcel, until_s, until_s, self.idle_s(now))
        link = next(link for link in self.links if link.breaker.allows(now))
        if not link.send_audit(sending):
            return False
        self._sent_at_s = self._clock()
        self.allowance.spend(parcel.payload_bytes, now)
        return True

    def poll(self) -> list[Reply | Loss]:
        """Everything that was answered, refused or lost since the last call; sends probes that are due."""
        events = [event for link in self.links for event in link.poll()]
        return [event for event in events if not self._went_on(event)]

    def _went_on(self, event: Reply | Loss) -> bool:
        """Was it sent back by a busy worker, and taken by another one?"""
        if not isinstance(event, Loss) or event.sending is None:
            return False
        now = self._clock()
        return now < event.sending.due_at_s and self.allowance.allows(now) and self._find(event.sending, now)

    def next_event_at(self) -> float | None:
        """When `poll` must be called at the latest; None when nothing is pending."""
        return min((at for link in self.links if (at := link.next_event_at()) is not None), default=None)

    def next_due_at(self) -> float | None:
        """When the next offload will be given up; None when nothing is in flight."""
        return min((at for link in self.links if (at := link.next_due_at()) is not None), default=None)
