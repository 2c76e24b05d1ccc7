"""One frame on its way, how it ended, and what is told and remembered of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bandits.guard import Guard
from bandits.policy import Observation, Plan, Policy, Ship
from edge_runtime.frames.deployment import Deployment
from edge_runtime.frames.outcomes import Outcome
from edge_runtime.frames.prefix import Run
from edge_runtime.frames.raw import Raw
from edge_runtime.link.offload import Offloader
from edge_runtime.link.worker_link import Loss, Parcel, Reply
from edge_runtime.sources.base import Frame
from split_core.drift.monitor import DriftMonitor, Finding
from split_core.objective import Objective
from split_core.readings import Reader, Reading
from split_core.telemetry.decisions import FrameRecord


@dataclass(frozen=True, slots=True)
class Rules:
    """What a policy file decides for a frame; a frame ends by the rules that it began with.

    Attributes:
        reader: logits to calibrated readings.
        policy: decides.
        objective: prices what was measured.
        ship_input: may split 0 be chosen?
        monitor: compares first readings with the calibration's.
        id: of the policy file.
        shadow: another policy file's, that is asked afterwards what it would have done; None asks nobody.
        audit: share of the frames answered here that are checked in the cloud afterwards.
    """

    reader: Reader
    policy: Policy
    objective: Objective
    ship_input: bool
    monitor: DriftMonitor
    id: str = ""
    shadow: Rules | None = None
    audit: float = 0.0


@dataclass(eq=False)
class Ticket:
    """One frame on its way.

    Attributes:
        frame: what was seen.
        camera: that saw it.
        deadline_at_s: when its outcome must be there.
        rules: in force when it began.
        deployment: the network that it runs through.
        plan: what the policy decided at its beginning.
        run: its way through the segments; None when it is no image.
        readings: computed on the device, in order of exit.
        raws: what they were made from, when there is a shadow to ask.
        parcel: what was sent; None when nothing was.
        blind: was it shipped without a reading?
        hedged: was it taken deeper here while its answer was late?
        done: does it have its outcome?
    """

    frame: Frame
    camera: str
    deadline_at_s: float
    rules: Rules
    deployment: Deployment
    plan: Plan
    run: Run | None = None
    readings: list[Reading] = field(default_factory=list)
    raws: list[Raw] = field(default_factory=list)
    parcel: Parcel | None = None
    blind: bool = False
    hedged: bool = False
    done: bool = False

    def read(self) -> None:
        """Read the exit at the present depth.

        Raises:
            BackendError: the engine refuses.
        """
        run, reader, shadow = self.run, self.rules.reader, self.rules.shadow
        assert run is not None
        logits = run.logits()
        if shadow is not None:
            self.raws.append(Raw.of(run, logits, hidden=shadow.reader.wants_hidden))
        hidden = run.pooled_hidden() if reader.wants_hidden else None
        self.readings.append(reader.read(run.depth, logits, hidden, self.readings, run.tokens))

    def measure(self, event: Reply | Loss) -> None:
        """What its offload tells of the link and the worker, whether or not it still waits."""
        parcel, costs = self.parcel, self.deployment.costs
        assert parcel is not None
        if isinstance(event, Reply):
            costs.observe_offload(parcel.cut, parcel.payload_bytes, event.link_ms, event.cloud_ms, event.idle_s)
            costs.observe_queue(event.queue_ms)
        elif event.waited_ms:
            costs.observe_loss(parcel.cut, parcel.payload_bytes, event.waited_ms)

    def teach(self, readings: Sequence[Reading], verdict: Reading, cost: float) -> None:
        """It was shipped, and its outcome is `verdict`: that is what the policy learns from."""
        if self.plan.learns and self.parcel:
            observation = Observation(self.plan, tuple(readings), Ship(self.parcel.cut), verdict, cost)
            self.rules.policy.learn(observation)

    def best(self) -> Reading:
        """The best local reading: one that a guard allows, the most confident, of equals the deeper."""
        return max(self.readings, key=lambda r: (not self.mark(r), r.confidence, r.exit), default=NOTHING)

    def mark(self, reading: Reading) -> str:
        """What a guard has against this answer; nothing without a guard."""
        policy = self.rules.policy
        return policy.mark(self.plan, reading) if isinstance(policy, Guard) and reading.exit else ""

    def deepest(self) -> int:
        """The last exit that may be computed here."""
        policy = self.rules.policy
        return policy.deepest if isinstance(policy, Guard) else self.deployment.prefix.exits


@dataclass(frozen=True, slots=True)
class Ending:
    """How a frame ended.

    Attributes:
        reading: the answer.
        where: who computed it.
        degraded: why it is not the answer that was wanted; empty when it is.
        reply: the worker's, when it is the answer.
    """

    reading: Reading
    where: Literal["edge", "cloud"]
    degraded: str = ""
    reply: Reply | None = None


def parcel_of(ticket: Ticket, cut: int, offloader: Offloader) -> Parcel:
    """What the worker starts from: the tensors of `cut`, packed.

    Raises:
        CodecError: they cannot be shipped.
    """
    assert ticket.run is not None
    prefix = ticket.deployment.prefix
    started_s = prefix.clock()
    tensors = offloader.pack(cut, ticket.run.tensors(cut))
    if prefix.pace:
        prefix.pace.encode(cut, started_s)
    return Parcel(cut, offloader.codec_of(cut)[0], tensors, (prefix.clock() - started_s) * 1e3, prefix.network)


def outcome_of(
    ticket: Ticket, ending: Ending, now: float, marked: str = "", wall: Callable[[], float] = time.time
) -> Outcome:
    """What the camera's owner gets; ages are measured on the clock that does not jump."""
    reading, labels = ending.reading, ticket.deployment.prefix.labels
    age_s = now - ticket.frame.captured_at_s
    return Outcome(
        seq=ticket.frame.seq,
        label=reading.label,
        name=labels[reading.label] if reading.label >= 0 else "unknown",
        confidence=reading.confidence,
        exit=reading.exit,
        where=ending.where,
        degraded=ending.degraded,
        latency_ms=age_s * 1e3,
        late=now > ticket.deadline_at_s,
        drifted=ticket.rules.monitor.void,
        marked=marked,
        camera=ticket.camera,
        captured_at=wall() - age_s,
    )


def watch(ticket: Ticket, ending: Ending) -> list[Finding]:
    """Show the frame to the drift monitor; returns what has changed.

    What its input is like counts always.  A reading counts that was taken whatever the frame looked like, or the
    worker's when the frame was shipped unread.  Behind a cascade's own thresholds those after the first count, too.
    """
    monitor, arm = ticket.rules.monitor, ticket.plan.arm
    if not monitor.due():
        return []
    found = monitor.see_input(ticket.run.measures()) if monitor.sees_inputs and ticket.run else []
    if ticket.readings:
        for reading in _whatever_it_looked_like(ticket):
            asked = arm is not None and arm.split == reading.exit
            found += monitor.see(reading.exit, reading.confidence, arm.threshold if arm and asked else None)
        if monitor.sees_on and ticket.readings[0].exit == 1 and len(ticket.readings) > 1:
            found += monitor.see_on(_without_gap(ticket.readings))
        return found
    return found + monitor.see(ending.reading.exit, ending.reading.confidence) if ending.reply else found


def _whatever_it_looked_like(ticket: Ticket) -> list[Reading]:
    """An arm reads up to its split before it looks at any confidence; without an arm only the first is sure to come."""
    split = ticket.plan.arm.split if ticket.plan.arm else 0
    return [reading for reading in ticket.readings if reading.exit <= split] or ticket.readings[:1]


def _without_gap(readings: Sequence[Reading]) -> list[float]:
    """Confidences of exits 2, 3, ... as far as each was asked after the one before."""
    return [reading.confidence for exit, reading in enumerate(readings, 1) if reading.exit == exit > 1]


def record_of(ticket: Ticket, ending: Ending, outcome: Outcome, started_s: float) -> FrameRecord:
    """What the decision log remembers; the worker's queue counts as link, only its compute is paid for."""
    arm, run, parcel, reply = ticket.plan.arm, ticket.run, ticket.parcel, ending.reply
    payload_bytes = parcel.payload_bytes if parcel else 0
    cloud_ms = reply.cloud_ms if reply else 0.0
    device_ms, encode_ms = run.device_ms if run else 0.0, parcel.encode_ms if parcel else 0.0
    joules, price = ticket.deployment.costs.joules(device_ms + encode_ms), ticket.rules.objective.cost
    cost = price(outcome.latency_ms, payload_bytes=payload_bytes, cloud_ms=cloud_ms, joules=joules)
    return FrameRecord(
        seq=outcome.seq,
        captured_s=ticket.frame.captured_at_s - started_s,
        arm=(arm.split, arm.threshold) if arm else None,
        propensity=ticket.plan.chance,
        # Lists first: a generator costs twice as much, and this is done for every frame.
        exits=tuple([r.exit for r in ticket.readings]),
        labels=tuple([r.label for r in ticket.readings]),
        confidences=tuple([r.confidence for r in ticket.readings]),
        where=outcome.where,
        exit=outcome.exit,
        label=outcome.label,
        confidence=outcome.confidence,
        degraded=outcome.degraded,
        shipped=parcel.cut if parcel else -1,
        payload_bytes=payload_bytes,
        verdict_label=outcome.label if reply else -1,
        verdict_confidence=outcome.confidence if reply else 0.0,
        latency_ms=outcome.latency_ms,
        device_ms=device_ms,
        encode_ms=encode_ms,
        link_ms=reply.link_ms + reply.queue_ms if reply else 0.0,
        cloud_ms=cloud_ms,
        cost=None if outcome.degraded else cost,
        marked=outcome.marked,
        joules=joules,
    )


NOTHING = Reading(0, -1, 0.0)  # no exit could be read: the engine failed, or the frame is no image
