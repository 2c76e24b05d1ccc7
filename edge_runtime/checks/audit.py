"""Audits: a few of the frames that the device answered are sent after all, to see whether the cloud agrees.

Nobody waits for an audit.  The frame has its outcome before it is drawn; it is packed and sent when no frame is there
to be processed and none is in flight, one at a time, with a deadline that puts it behind everybody else's frames in
the worker; it counts neither for nor against the link.  Frames are drawn without looking at them, so those that come
back are a fair sample of the frames answered here while there was room for audits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from bandits.policy import Answer, Observation
from edge_runtime.checks.forwarder import Forward, Forwarder
from edge_runtime.frames.outcomes import Outcome
from edge_runtime.frames.ticket import Ending, Ticket, parcel_of
from edge_runtime.link.offload import Offloader
from edge_runtime.link.worker_link import Loss, Reply
from split_core.errors import CodecError
from split_core.readings import Reading
from split_core.telemetry.audit import AuditRecord, AuditTally

OnAudit = Callable[[AuditRecord, Ticket], None]


@dataclass(eq=False)
class Audit:
    """One frame that was drawn.

    Attributes:
        ticket: of the frame, which has its outcome.
        observation: what its policy will be told, with a verdict or without.
        answer: that was given.
        drawn_at_s: when.
        payload_bytes: sent; 0 until then.
    """

    ticket: Ticket
    observation: Observation
    answer: Reading
    drawn_at_s: float
    payload_bytes: int = 0

    @property
    def cut(self) -> int:
        """Whose tensors are sent: the cheapest that this frame has reached."""
        context, run = self.observation.plan.context, self.ticket.run
        assert run is not None
        return context.costs.payload[run.depth]


class Auditor:
    """Draws, sends and settles audits; one waits at most, one is in flight at most.

    Args:
        offloader: the way to the worker.
        rng: draws.
        patience_s: for an idle moment, and then for the answer.
        clock: monotonic seconds.
        on_audit: told every audit that came back, after the policy has learned from it.
        forwarder: keeps frames for later and sends them when there is nothing to audit; None keeps none.

    Attributes:
        tally: sums since the start.
    """

    def __init__(
        self,
        offloader: Offloader,
        *,
        rng: np.random.Generator,
        patience_s: float,
        clock: Callable[[], float],
        on_audit: OnAudit = lambda *_: None,
        forwarder: Forwarder | None = None,
    ) -> None:
        self._offloader, self._forwarder = offloader, forwarder
        self._rng, self._patience_s, self._clock, self._on_audit = rng, patience_s, clock, on_audit
        self._waiting: Audit | None = None
        self.tally = AuditTally()

    def take(self, ticket: Ticket, observation: Observation) -> bool:
        """Is this frame, which the device has answered, drawn?  Then its policy is told when the audit has ended."""
        share, action = ticket.rules.audit, observation.action
        if share <= 0.0 or not isinstance(action, Answer) or not self._may_be_sent(ticket):
            return False
        if self._rng.random() >= share:
            return False
        self.tally.drawn += 1
        now = self._clock()
        answer = next(reading for reading in ticket.readings if reading.exit == action.exit)
        if self._waiting is not None or not self._offloader.reachable(now):
            self.tally.skipped += 1
            if self._forwarder:
                self._forwarder.missed(ticket, answer)
            return False
        self._waiting = Audit(ticket, observation, answer, now)
        return True

    @staticmethod
    def _may_be_sent(ticket: Ticket) -> bool:
        """Is there anything to ask, and may it leave the device?  The whole network needs no audit."""
        return ticket.run is not None and ticket.plan.context.may_ship(ticket.run.depth)

    def idle(self) -> None:
        """Nothing else is to be done: send what waits, if nothing is in flight."""
        audit, now = self._waiting, self._clock()
        if audit is None:
            if self._forwarder:
                self._forwarder.idle()
            return
        if now > audit.drawn_at_s + self._patience_s or not self._offloader.reachable(now):
            self._drop(audit)
        elif self._offloader.quiet(now):
            self._send(audit)

    def _send(self, audit: Audit) -> None:
        try:
            parcel = parcel_of(audit.ticket, audit.cut, self._offloader)
        except CodecError:
            return self._drop(audit)
        if not self._offloader.submit_audit(parcel, audit, patience_s=self._patience_s):
            return self._drop(audit)
        self._waiting = None
        audit.payload_bytes = parcel.payload_bytes
        self.tally.payload_bytes += parcel.payload_bytes
        audit.ticket.deployment.costs.observe_payload(parcel.cut, parcel.encode_ms, parcel.payload_bytes)
        return None

    def _drop(self, audit: Audit) -> None:
        self._waiting = None
        self.tally.skipped += 1
        _tell(audit.ticket, audit.observation)

    def ended(self, ticket: Ticket, ending: Ending, outcome: Outcome) -> None:
        """A frame has its outcome."""
        if self._forwarder:
            self._forwarder.ended(ticket, ending, outcome)

    def settle(self, audit: object, event: Reply | Loss) -> None:
        """Tell the policy how the audit of `event` has ended; of what was kept it learns nothing."""
        if isinstance(audit, Forward):
            assert self._forwarder
            return self._forwarder.settle(audit, event)
        assert isinstance(audit, Audit)
        ticket = audit.ticket
        if isinstance(event, Loss):
            self.tally.lost += 1
            return _tell(ticket, audit.observation)
        verdict = ticket.rules.reader.read(event.exit, event.logits, None, ticket.readings)
        ticket.deployment.costs.observe_offload(
            audit.cut, audit.payload_bytes, event.link_ms, event.cloud_ms, event.idle_s
        )
        record = _record(audit, verdict, event)
        self.tally.agree += record.agrees
        self.tally.differ += not record.agrees
        _tell(ticket, replace(audit.observation, verdict=verdict, audited=ticket.rules.audit))
        self._on_audit(record, ticket)
        return None


def _tell(ticket: Ticket, observation: Observation) -> None:
    if observation.plan.learns or observation.audited:  # an envelope counts audits of plans that teach nothing
        ticket.rules.policy.learn(observation)


def _record(audit: Audit, verdict: Reading, reply: Reply) -> AuditRecord:
    answer, ticket = audit.answer, audit.ticket
    return AuditRecord(
        seq=ticket.frame.seq,
        policy=ticket.rules.id[:12],
        propensity=ticket.rules.audit,
        exit=answer.exit,
        label=answer.label,
        confidence=answer.confidence,
        verdict_label=verdict.label,
        verdict_confidence=verdict.confidence,
        shipped=audit.cut,
        payload_bytes=audit.payload_bytes,
        link_ms=reply.link_ms,
        queue_ms=reply.queue_ms,
        cloud_ms=reply.cloud_ms,
    )
