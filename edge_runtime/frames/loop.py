"""The frame's way: choose, run, answer or ship, settle.  One thread; no socket or clock of its own.

The contract: every frame taken from the slot gets exactly one `Outcome`, by its deadline, whatever the
network does.  What keeps it: an offload is given up `margin_ms` before the deadline (earlier when no
exit was read yet), replies and overdue offloads are settled between any two segments, and a step that
would not fit into the time left is not begun.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bandits.policy import Answer, Context, Deeper, Observation, Plan, Ship
from edge_runtime.checks.audit import Auditor
from edge_runtime.frames.deployment import Deployment
from edge_runtime.frames.hedge import Hedge, whole
from edge_runtime.frames.outcomes import Outcome
from edge_runtime.frames.prefix import deepen_together
from edge_runtime.frames.stream import Stream, Turns
from edge_runtime.frames.ticket import NOTHING, Ending, Rules, Ticket, outcome_of, parcel_of, record_of, watch
from edge_runtime.frames.together import companions, may_wait_for_all
from edge_runtime.link.offload import Offloader
from edge_runtime.link.worker_link import Reply
from edge_runtime.sources.base import Frame
from split_core.drift.monitor import Finding
from split_core.errors import BackendError, CodecError, DataError
from split_core.telemetry.decisions import FrameRecord

OnOutcome = Callable[[Outcome, FrameRecord], None]


class EdgeLoop:
    """Takes frames from the slots of one or more cameras and gives outcomes.

    Args:
        streams: cameras, each with its rules and what its frames run through.
        offloader: the way to the worker.
        clock: monotonic seconds; `Frame.captured_at_s` is on it.
        on_outcome: called for every outcome, in order; must not block.
        on_drift: told which camera it is when a finding of its monitor changes.
        on_shadowed: called after the outcome of a frame whose rules have a shadow; must not block.
        auditor: checks answers of this device in the background; None checks none.
        together: frames of different cameras that are run through the first segments at once.
        hedge: picks frames to go on with here while their answers are late; None waits for them.

    Attributes:
        together: as given.
        in_flight: offloads without an outcome yet.
        on_ended: called after the outcome of every frame; must not block.
        on_idle: called when nothing else is to be done; says whether it has computed anything, a segment at most.
    """

    def __init__(
        self,
        streams: Sequence[Stream],
        *,
        offloader: Offloader,
        clock: Callable[[], float],
        on_outcome: Sequence[OnOutcome],
        on_drift: Callable[[str, Finding], None] = lambda *_: None,
        on_shadowed: Callable[[Ticket, Ending], None] = lambda *_: None,
        auditor: Auditor | None = None,
        together: int = 1,
        hedge: Hedge | None = None,
    ) -> None:
        self.together, self._hedge = together, hedge
        self._turns, self._streams = Turns(streams), tuple(streams)
        self._on_outcome, self._on_drift, self._on_shadowed = tuple(on_outcome), on_drift, on_shadowed
        self.on_ended: Callable[[Ticket, Ending], None] = lambda *_: None
        self.on_idle: Callable[[], bool] = bool
        self._auditor, self._offloader, self._clock = auditor, offloader, clock
        self._started_s = clock()
        self.in_flight = self._blind = 0  # blind are those in flight whose frames have no local reading yet
        self._lost: list[tuple[Ticket, str]] = []  # came back without a verdict, not answered yet

    def step(self) -> bool:
        """Settle what came back or is overdue, then process one frame; False when there was none."""
        self._settle()
        taken = self._turns.take(self.together, may_wait_for_all)
        if not taken:
            return self._use_idle_time()
        self._process(taken)
        return True

    def next_event_at(self) -> float | None:
        """When `step` must be called at the latest, if no frame and no message comes."""
        late_at_s = self._hedge.next_at() if self._hedge else None
        return min((at for at in (self._offloader.next_event_at(), late_at_s) if at is not None), default=None)

    def _use_idle_time(self) -> bool:
        """No frame waits: go on with a late one, or audit, greet and what else there is; was anything computed?"""
        ticket = self._hedge.pick(self._clock()) if self._hedge else None
        if ticket is not None:
            self._deepen_late(ticket)
            return True
        if self._auditor:
            self._auditor.idle()
        if heard := self._offloader.greet(self._clock()):
            self._streams[0].deployment.costs.observe_greeting(heard)  # shared: all but the budget is
        return self.on_idle()

    def _deepen_late(self, ticket: Ticket) -> None:
        """One segment of a shipped frame; behind the last one it has its answer, and the policy the full network's."""
        try:
            if not whole(ticket):
                return
        except BackendError:  # the worker may still answer
            self._hedged(ticket, "neither")
            return
        self._close(ticket, "here")
        *readings, verdict = ticket.readings
        ticket.teach(readings, verdict, self._finish(ticket, Ending(verdict, "edge")))

    def _close(self, ticket: Ticket, won: str) -> None:
        """A shipped frame gets its outcome now."""
        self.in_flight -= 1
        self._blind -= ticket.blind
        self._hedged(ticket, won)

    def _hedged(self, ticket: Ticket, won: str) -> None:
        if self._hedge:
            self._hedge.ended(ticket, won)

    def _process(self, taken: Sequence[tuple[Stream, Frame]]) -> None:
        tickets = [ticket for stream, frame in taken if (ticket := self._open(stream, frame))]
        if len(tickets) > 1:
            self._go_together(tickets)
            tickets.sort(key=lambda ticket: ticket.deadline_at_s)
        for ticket in tickets:
            try:
                self._follow(ticket)
            except BackendError:
                self._finish(ticket, Ending(ticket.best(), "edge", "engine"))

    def _open(self, stream: Stream, frame: Frame) -> Ticket | None:
        """A frame's ticket; None when it is no frame, and has its outcome."""
        rules, deployment = stream.rules, stream.deployment
        deadline_at_s = deployment.budget.deadline_at_s(frame.captured_at_s)
        plan = self._begin(rules, deployment, deadline_at_s)
        ticket = Ticket(frame, stream.camera, deadline_at_s, rules, deployment, plan)
        try:
            ticket.run = deployment.prefix.start(frame.item)
        except DataError:
            self._finish(ticket, Ending(NOTHING, "edge", "bad_frame"))
            return None
        return ticket

    def _go_together(self, tickets: Sequence[Ticket]) -> None:
        runs, depth = companions(tickets)
        try:
            for _ in range(depth):
                deepen_together(runs)
                if self.in_flight:
                    self._settle()
        except BackendError:  # each goes on alone from where it is, and fails alone if it must
            return

    def _begin(self, rules: Rules, deployment: Deployment, deadline_at_s: float) -> Plan:
        budget, costs, now = deployment.budget, deployment.costs, self._clock()
        left_ms = budget.left_ms(deadline_at_s)
        cloud = self._offloader.available(now)
        costs.at(now, self._offloader.idle_s(now))
        splits = budget.splits(0 if cloud and rules.ship_input else 1, deployment.prefix.exits, left_ms)
        prices = costs.costs(rules.objective, ship_input=rules.ship_input)
        return rules.policy.begin(Context(splits, cloud, max(0.0, left_ms), prices))

    def _follow(self, ticket: Ticket) -> None:
        """Ask the policy until the frame is answered or shipped."""
        while True:
            action = ticket.rules.policy.next(ticket.plan, tuple(ticket.readings))
            if isinstance(action, Answer):
                return self._answer(ticket, action)
            if isinstance(action, Ship):
                return self._ship(ticket, action)
            if not self._go_deeper(ticket, action):
                return self._answer_locally(ticket, "deadline")

    def _go_deeper(self, ticket: Ticket, _: Deeper) -> bool:
        """Run to the next head of the plan and read it; False when the time left does not allow it."""
        assert ticket.run is not None
        read = ticket.readings[-1].exit if ticket.readings else 0
        target = next(k for k in ticket.plan.heads if k > read)
        if ticket.readings and not ticket.deployment.budget.fits(ticket.run.depth, target, ticket.deadline_at_s):
            return False
        self._run_to(ticket, target, settle=True)
        return True

    def _run_to(self, ticket: Ticket, target: int, *, settle: bool) -> None:
        run = ticket.run
        assert run is not None
        while run.depth < target:
            run.deepen()
            if settle and self.in_flight:
                self._settle()
        ticket.read()

    def _answer(self, ticket: Ticket, action: Answer) -> None:
        reading = next(r for r in ticket.readings if r.exit == action.exit)
        cost = self._finish(ticket, Ending(reading, "edge"))
        observation = Observation(ticket.plan, tuple(ticket.readings), action, None, cost)
        if self._auditor and self._auditor.take(ticket, observation):
            return
        if ticket.plan.learns:
            ticket.rules.policy.learn(observation)

    def _ship(self, ticket: Ticket, action: Ship) -> None:
        try:
            parcel = parcel_of(ticket, action.cut, self._offloader)
        except CodecError:
            return self._answer_locally(ticket, "unshippable")
        ticket.parcel = parcel
        # A frame without a reading needs time for one when no answer comes, and so does each like it in flight.
        blind = 0 if ticket.readings else 1 + self._blind
        due_at_s = ticket.deployment.budget.due_at_s(ticket.deadline_at_s, blind)
        if not self._offloader.submit(parcel, ticket, deadline_at_s=ticket.deadline_at_s, due_at_s=due_at_s):
            ticket.parcel = None
            return self._answer_locally(ticket, "no_link")
        ticket.deployment.costs.observe_payload(parcel.cut, parcel.encode_ms, parcel.payload_bytes)
        self.in_flight += 1
        ticket.blind = not ticket.readings
        self._blind += ticket.blind
        if self._hedge:
            self._hedge.ship(ticket, self._clock() + ticket.deployment.costs.ship_ms(parcel.cut) / 1e3)
        return None

    def _settle(self) -> None:
        """Give outcomes to all that came back, was refused or is overdue; the most urgent first."""
        self._collect()
        while self._lost:
            ticket, reason = self._lost.pop(min(range(len(self._lost)), key=lambda i: self._lost[i][0].deadline_at_s))
            self._lose(ticket, reason)
            self._collect()

    def _collect(self) -> None:
        """Verdicts are finished at once, they cost nothing; what needs a local answer is put aside."""
        for event in self._offloader.poll():
            ticket = event.ticket
            if not isinstance(ticket, Ticket):
                assert self._auditor
                self._auditor.settle(ticket, event)
                continue
            ticket.measure(event)
            if ticket.done:
                continue
            self._close(ticket, "cloud" if isinstance(event, Reply) else "neither")
            if isinstance(event, Reply):
                self._take(ticket, event)
            else:
                self._lost.append((ticket, event.reason))

    def _take(self, ticket: Ticket, reply: Reply) -> None:
        verdict = ticket.rules.reader.read(reply.exit, reply.logits, None, ticket.readings)
        ticket.teach(ticket.readings, verdict, self._finish(ticket, Ending(verdict, "cloud", reply=reply)))

    def _lose(self, ticket: Ticket, reason: str) -> None:
        try:
            self._answer_locally(ticket, reason)
        except BackendError:
            self._finish(ticket, Ending(ticket.best(), "edge", "engine"))

    def _answer_locally(self, ticket: Ticket, reason: str) -> None:
        """The best this device can still do: the full model if there is time, else the best reading."""
        run, deployment = ticket.run, ticket.deployment
        assert run is not None
        deepest = ticket.deepest()
        if run.depth < deepest and deployment.budget.run_ms(run.depth, deepest) < self._spare_ms(ticket):
            self._run_to(ticket, deepest, settle=False)
        if ticket.readings and ticket.readings[-1].exit == deployment.prefix.exits:
            self._finish(ticket, Ending(ticket.readings[-1], "edge"))
            return
        if not ticket.readings or run.depth > ticket.readings[-1].exit:  # deeper, when it was hedged
            self._run_to(ticket, max(1, run.depth), settle=False)
        self._finish(ticket, Ending(ticket.best(), "edge", reason))

    def _spare_ms(self, ticket: Ticket) -> float:
        """Time for this frame that no other frame needs."""
        if self._lost:
            return 0.0
        due_at_s = self._offloader.next_due_at()
        until_due_ms = float("inf") if due_at_s is None else (due_at_s - self._clock()) * 1e3
        return min(ticket.deployment.budget.left_ms(ticket.deadline_at_s), until_due_ms)

    def _finish(self, ticket: Ticket, ending: Ending) -> float:
        """Give the outcome; returns what the frame cost, NaN when its path was not finished."""
        ticket.done = True
        if ticket.run is not None and ticket.run.alone:
            ticket.deployment.costs.observe_device(ticket.run.segment_ms, ticket.run.head_ms)
        for finding in watch(ticket, ending):
            self._on_drift(ticket.camera, finding)
        marked = ticket.mark(ending.reading)  # before the clock is read: a guardrail takes the frame's time
        outcome = outcome_of(ticket, ending, self._clock(), marked)
        record = record_of(ticket, ending, outcome, self._started_s)
        for listener in self._on_outcome:
            listener(outcome, record)
        if self._auditor:
            self._auditor.ended(ticket, ending, outcome)
        if ticket.rules.shadow is not None:
            self._on_shadowed(ticket, ending)
        self.on_ended(ticket, ending)
        return float("nan") if record.cost is None else record.cost
