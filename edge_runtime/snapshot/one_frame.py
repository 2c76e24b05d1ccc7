"""One frame through the same loop as all others, and afterwards through the rest of the network: a snapshot."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from edge_runtime.frames.loop import EdgeLoop
from edge_runtime.frames.outcomes import Outcome
from edge_runtime.frames.stream import Stream
from edge_runtime.frames.ticket import Ending, Ticket, parcel_of
from edge_runtime.link.greetings import FIRST, FIRST_EVERY_S
from edge_runtime.link.offload import Offloader
from edge_runtime.link.worker_link import Loss, Reply
from edge_runtime.snapshot import snapshot
from edge_runtime.snapshot.snapshot import About, Said, Snapshot, Step, Told
from edge_runtime.sources.base import Frame, Item
from split_core.errors import CodecError
from split_core.readings import Reading
from split_core.telemetry.decisions import FrameRecord

MEASURE_S = (FIRST + 1) * FIRST_EVERY_S  # of the way to a worker: its first greetings
LONGEST_WAIT_S = 0.05  # before it is looked whether something has come


class OneFrame:
    """A frame loop for single frames, which keeps what it saw of them.

    Args:
        stream: whose rules decide; nothing else takes from its slot.
        offloader: the way to the workers.
        workers: what its links are called.
        about: told with the snapshot.
        clock: monotonic seconds.
        wait: lets so many seconds pass, or fewer when a message comes.
    """

    def __init__(
        self,
        stream: Stream,
        offloader: Offloader,
        *,
        workers: Sequence[str],
        about: About,
        clock: Callable[[], float],
        wait: Callable[[float], None],
    ) -> None:
        self._offloader, self._about, self._clock, self._wait = offloader, about, clock, wait
        self._names, self._workers = tuple(workers), dict[str, str]()
        # Rules with a shadow are told how a frame ended before anything is learned from it.
        rules = replace(stream.rules, shadow=stream.rules)
        self._stream = replace(stream, rules=rules)
        self._outcome: Outcome | None = None
        self._record: FrameRecord | None = None
        self._end: tuple[Ticket, Ending, tuple[Step, ...]] | None = None
        self._loop = EdgeLoop(
            [self._stream], offloader=offloader, clock=clock, on_outcome=[self._note], on_shadowed=self._ended
        )

    def _note(self, outcome: Outcome, record: FrameRecord) -> None:
        self._outcome, self._record = outcome, record

    def _ended(self, ticket: Ticket, ending: Ending) -> None:
        self._end = ticket, ending, snapshot.steps_of(ticket, ending)

    def connect(self, patience_s: float) -> bool:
        """Wait for a worker, at most so long, and then measure the way to it as a camera does; is one there?"""
        until_s = self._clock() + patience_s
        while not self._offloader.available(self._clock()) and self._clock() < until_s:
            self._turn()
        there = self._offloader.available(self._clock())
        until_s = self._clock() + (MEASURE_S if there else 0.0)
        while self._clock() < until_s:
            self._turn()
        return there

    def _turn(self) -> None:
        if not self._loop.step():
            due_at_s = self._loop.next_event_at()
            left_s = LONGEST_WAIT_S if due_at_s is None else due_at_s - self._clock()
            self._wait(min(LONGEST_WAIT_S, max(0.0, left_s)))

    def take(self, item: Item, seq: int = 0, patience_s: float = 2.0) -> Snapshot:
        """Answer one frame as the camera would, then find out the rest.

        Args:
            item: pixels or text.
            seq: its number.
            patience_s: for the worker's word on a frame that was not shipped.

        Raises:
            DataError: it is not what the network takes.
            BackendError: the engine refuses.
        """
        deployment = self._stream.deployment
        deployment.prefix.intake.canonical(item)
        self._end = None
        book = deployment.costs
        expected_ms = [book.ship_ms(cut) for cut in range(book.exits)]
        links = zip(self._names, self._offloader.links, strict=True)
        self._workers = {name: link.breaker.state for name, link in links if name}
        self._stream.slot.put(Frame(seq, self._clock(), item))
        while self._end is None:
            self._turn()
        ticket, ending, steps = self._end
        exits = snapshot.said_by(ticket, self._every(ticket))
        worker = self._worker(ticket, ending, patience_s)
        return self._shown(ticket, ending, steps, (*exits, *worker), expected_ms)

    def _every(self, ticket: Ticket) -> list[Reading]:
        """What all exits say, read one after the other."""
        reader, run = ticket.rules.reader, ticket.deployment.prefix.start(ticket.frame.item)
        readings: list[Reading] = []
        while run.depth < ticket.deployment.prefix.exits:
            run.deepen()
            logits = run.logits()
            hidden = run.pooled_hidden() if reader.wants_hidden else None
            readings.append(reader.read(run.depth, logits, hidden, readings, run.tokens))
        return readings

    def _worker(self, ticket: Ticket, ending: Ending, patience_s: float) -> list[Said]:
        """The worker's word, asked for now if the frame was not shipped and may be; empty when there is none."""
        if ending.reply is not None:
            return [snapshot.said(ticket, ending.reading, "worker")]
        reply = self._asked(ticket, patience_s)
        if reply is None:
            return []
        verdict = ticket.rules.reader.read(reply.exit, reply.logits, None, ticket.readings)
        return [snapshot.said(ticket, verdict, "worker")]

    def _asked(self, ticket: Ticket, patience_s: float) -> Reply | None:
        run, costs = ticket.run, ticket.plan.context.costs
        assert run is not None
        depth = min(run.depth, costs.exits - 1)
        if not math.isfinite(costs.ship[depth]) or not self._offloader.quiet(self._clock()):
            return None
        try:
            parcel = parcel_of(ticket, costs.payload[depth], self._offloader)
        except CodecError:
            return None
        if not self._offloader.submit_audit(parcel, ticket, patience_s=patience_s):
            return None
        while True:
            for event in self._offloader.poll():
                if isinstance(event, Reply | Loss) and event.ticket is ticket:
                    return event if isinstance(event, Reply) else None
            self._wait(LONGEST_WAIT_S)

    def _shown(
        self, ticket: Ticket, ending: Ending, steps: tuple[Step, ...], exits: tuple[Said, ...], ship_ms: list[float]
    ) -> Snapshot:
        outcome, record, plan = self._outcome, self._record, ticket.plan
        assert outcome is not None
        assert record is not None
        return Snapshot(
            about=self._about,
            frame=snapshot.described(ticket.frame.item),
            measures=snapshot.measured(ticket, self._about.inputs),
            label=outcome.label,
            name=outcome.name,
            confidence=outcome.confidence,
            exit=outcome.exit,
            where=outcome.where,
            degraded=outcome.degraded,
            marked=outcome.marked,
            late=outcome.late,
            cloud=plan.context.cloud,
            workers=self._workers,
            splits=plan.context.splits,
            arm=record.arm,
            propensity=plan.propensity,
            learns=plan.learns,
            exits=exits,
            steps=steps,
            told=self._told(ticket, ship_ms),
            spent=snapshot.spent_by(ticket, ending, outcome.latency_ms),
            latency_ms=outcome.latency_ms,
            deadline_ms=(ticket.deadline_at_s - ticket.frame.captured_at_s) * 1e3,
            margin_ms=ticket.deployment.budget.margin_ms,
            cut=record.shipped,
            payload_bytes=record.payload_bytes,
            drift=self._drift(),
        )

    def _told(self, ticket: Ticket, ship_ms: list[float]) -> tuple[Told, ...]:
        costs, book = ticket.plan.context.costs, ticket.deployment.costs
        found = []
        for depth in range(costs.exits + 1):
            device_ms, device = book.segment_ms(1, depth), float(costs.device[depth])
            if depth == costs.exits or not ticket.plan.context.may_ship(depth):
                found.append(Told(depth, device_ms, device))
                continue
            cut = costs.payload[depth]
            told = Told(depth, device_ms, device, cut, book.payload_bytes(cut), ship_ms[cut], float(costs.ship[depth]))
            found.append(told)
        return tuple(found)

    def _drift(self) -> tuple[str, ...]:
        monitor = self._stream.rules.monitor
        fired = [finding for finding in monitor.findings() if finding.drift.fired]
        if monitor.cause is not None and monitor.cause not in fired:
            fired.insert(0, monitor.cause)
        return tuple(
            f"{one.detector} of {f'exit {one.exit}' if one.exit else 'the input'}: "
            f"{one.drift.value:.3g} > {one.drift.limit:.3g}"
            for one in fired
        )
