"""What the policy in the shadow would have done, asked after the outcome and off the frame's way.

It gets the readings that exist, in its own calibration.  What it would have needed and was not computed is unknown,
and said so.  A bandit in the shadow learns from the frames whose way is known, and from no others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bandits.policy import Answer, Context, Costs, Observation, Plan, Ship
from edge_runtime.frames.raw import Raw
from edge_runtime.frames.ticket import Ending, Rules, Ticket
from split_core.errors import SplitError
from split_core.readings import Reading
from split_core.telemetry.background import BackgroundWriter
from split_core.telemetry.shadow import ShadowRecord, ShadowTally

CAPACITY = 256  # frames that may wait; each holds logits of a few exits


@dataclass(frozen=True, slots=True)
class Case:
    """One frame that has its outcome.

    Attributes:
        seq: its number.
        context: as the shadow would have been told, at its prices.
        raws: what was computed on the device, in order of exit.
        verdict: what the worker said; None when it was not asked or its answer was lost.
        shipped_from: the depth that the frame was shipped from; -1 when it was not.
        ending: what was answered.
        camera: whose frame it is.
    """

    seq: int
    context: Context
    raws: tuple[Raw, ...]
    verdict: Raw | None
    shipped_from: int
    ending: Ending
    camera: str = ""


def case_of(ticket: Ticket, ending: Ending, costs: Costs) -> Case:
    """What the shadow of a ticket is asked.

    Args:
        ticket: with `rules.shadow` and the `raws` that were kept for it.
        ending: how it ended.
        costs: at the shadow's prices.
    """
    assert ticket.rules.shadow is not None
    told, pixels = ticket.plan.context, ticket.rules.shadow.ship_input
    splits = tuple(split for split in told.splits if split > 0)
    context = replace(told, splits=(0, *splits) if told.cloud and pixels else splits, costs=costs)
    verdict = Raw(ending.reply.exit, ending.reply.logits) if ending.reply else None
    shipped_from = ticket.run.depth if ticket.run and ticket.parcel else -1
    return Case(ticket.frame.seq, context, tuple(ticket.raws), verdict, shipped_from, ending, ticket.camera)


@dataclass(frozen=True, slots=True)
class Way:
    """How the shadow would have gone.

    Attributes:
        where, exit: who would have answered; empty and -1 when that is not known.
        depth: segments run on the device.
        readings: on the way, the last one up to which it is known included.
        answer: None where it was not computed.
    """

    where: str
    exit: int
    depth: int
    readings: tuple[Reading, ...]
    answer: Reading | None = None


def judge(shadow: Rules, case: Case) -> ShadowRecord:
    """What `shadow` would have done with a frame; its policy learns from it where that is known.

    Raises:
        ConfigError: its criterion does not fit the network's hidden states.
    """
    plan = shadow.policy.begin(case.context)
    way = followed(shadow, plan, case)
    record = _record(shadow, case, way)
    if plan.learns and way.answer is not None:
        action = Answer(way.exit) if way.where == "edge" else Ship(plan.context.costs.payload[way.depth])
        verdict = way.answer if way.where == "cloud" else None
        cost = math.nan if record.cost is None else record.cost
        shadow.policy.learn(Observation(plan, way.readings, action, verdict, cost))
    return record


def followed(shadow: Rules, plan: Plan, case: Case) -> Way:
    """Ask the shadow's policy as the edge loop asks the active one, with the readings that exist."""
    raws = {raw.exit: raw for raw in case.raws}
    readings: list[Reading] = []
    depth, exits = 0, case.context.exits
    while True:
        action = shadow.policy.next(plan, tuple(readings))
        if isinstance(action, Answer):
            answer = next(reading for reading in readings if reading.exit == action.exit)
            return Way("edge", action.exit, depth, tuple(readings), answer)
        if isinstance(action, Ship):
            said = case.verdict.read(shadow.reader, readings) if case.verdict else None
            return Way("cloud", exits, depth, tuple(readings), said)
        target = next(k for k in plan.heads if k > depth)
        raw = raws.get(target)
        if raw is None:
            # Nothing comes after the last exit: it answers there, whatever it says.
            last = target == exits
            return Way("edge" if last else "", exits if last else -1, target if last else depth, tuple(readings))
        depth = target
        readings.append(raw.read(shadow.reader, readings))


def _record(shadow: Rules, case: Case, way: Way) -> ShadowRecord:
    costs, active = case.context.costs, case.ending
    heads = [reading.exit for reading in way.readings]
    if way.where == "edge" and way.answer is None:
        heads.append(way.exit)
    seen = [raw.exit for raw in case.raws]
    deepest = max((*seen, case.shipped_from, 0))
    return ShadowRecord(
        seq=case.seq,
        policy=shadow.id[:12],
        where=way.where,
        exit=way.exit,
        beyond=way.readings[-1].exit if way.readings else 0,
        label=way.answer.label if way.answer else -1,
        confidence=way.answer.confidence if way.answer else None,
        cost=_cost(costs, way.depth, heads, shipped=way.where == "cloud") if way.where else None,
        active_where=active.where,
        active_exit=active.reading.exit,
        active_label=active.reading.label,
        active_confidence=active.reading.confidence,
        active_cost=_cost(costs, deepest, seen, shipped=case.shipped_from >= 0),
    )


def _cost(costs: Costs, depth: int, heads: Sequence[int], *, shipped: bool) -> float | None:
    """Of running to `depth`, reading `heads`, and shipping from there; None where that is not allowed."""
    on_device = float(costs.device[depth]) + sum(float(costs.head[exit]) for exit in heads)
    cost = on_device + (float(costs.ship[depth]) if shipped else 0.0)
    return cost if math.isfinite(cost) else None


class ShadowDesk:
    """Judges frames in a thread of its own.

    Args:
        note: told every record and whose frame it was, in that thread; must not block.
        refused: told in one line when a shadow cannot judge; it is not asked again.
        capacity: frames that may wait to be judged; further ones are lost.

    Attributes:
        tally: sums over the frames of the newest shadow.
    """

    def __init__(
        self,
        note: Callable[[str, ShadowRecord], None],
        refused: Callable[[str], None],
        capacity: int = CAPACITY,
    ) -> None:
        self._note, self._refused = note, refused
        self._broken: Rules | None = None
        self.tally = ShadowTally()
        self._writer: BackgroundWriter[tuple[Rules, Case]] = BackgroundWriter(self._judge, "policy-shadow", capacity)

    @property
    def lost(self) -> int:
        """Frames that found the queue full: nothing is known of them."""
        return self._writer.lost

    def put(self, ticket: Ticket, ending: Ending) -> None:
        """Hand over a frame that has its outcome; one that did not end as wanted says nothing of a policy."""
        shadow = ticket.rules.shadow
        if shadow is not None and not ending.degraded:
            # Priced on the frame's thread, as seldom as for the active policy.
            costs = ticket.deployment.costs.costs(shadow.objective, ship_input=shadow.ship_input)
            self._writer.put((shadow, case_of(ticket, ending, costs)))

    def close(self) -> None:
        """Judge what is waiting, then end the thread."""
        self._writer.close()

    def _judge(self, cases: list[tuple[Rules, Case]]) -> None:
        for shadow, case in cases:
            if shadow is self._broken:
                continue
            try:
                record = judge(shadow, case)
            except SplitError as error:
                self._broken = shadow
                self._refused(str(error))
                continue
            self.tally.add(record)
            self._note(case.camera, record)
