"""Everything about one frame, to be shown: what every exit says, what was compared, why it ended where it did."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from bandits.policy import Answer, Deeper, Plan, Policy, Ship
from bandits.reasons import reason_for
from edge_runtime.frames.ticket import Ending, Ticket
from edge_runtime.sources.base import Item
from split_core.evidence import ConfidenceHistogram
from split_core.json_types import finite
from split_core.readings import Reading

# In the frame's run, afterwards to see what would have been said, or by the worker.
When = Literal["run", "afterwards", "worker"]
Where = Literal["device", "link", "cloud", "rest"]

ENDINGS = {
    "timeout": "no answer came in time; the best reading here answers",
    "busy": "the worker was busy; the best reading here answers",
    "refused": "the worker refused it; the best reading here answers",
    "no_link": "there was nobody to send it to; the best reading here answers",
    "deadline": "no time was left for the next exit; the best reading here answers",
    "unshippable": "its hidden state cannot be packed; the best reading here answers",
    "engine": "the engine failed; the best reading here answers",
}
RUN_HERE = "no answer came, and there was time to run the whole network here"


@dataclass(frozen=True, slots=True)
class Said:
    """What one exit says of the frame.

    Attributes:
        exit: 1..K.
        label: class number, -1 for none of them; `name` is its name.
        confidence: calibrated, in [0, 1].
        margin: distance of the two likeliest classes.
        when: was it read?
        asked: confidence from which on the policy would have answered here; NaN where it did not compare.
        marked: what a guard has against it.
    """

    exit: int
    label: int
    name: str
    confidence: float
    margin: float
    when: When
    asked: float = math.nan
    marked: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One decision.

    Attributes:
        after: exit that was read last; 0 before the first.
        action: "deeper", "answer" or "ship"; "late" is the frame loop's, when things went otherwise.
        target: exit that answers or is read next; cut that is shipped.
        why: in one line.
        losses: expected of each move, in errors; see `bandits.reasons.Reason`.
    """

    after: int
    action: Literal["deeper", "answer", "ship", "late"]
    target: int
    why: str
    losses: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """What the policy was told of the costs at one depth.

    Attributes:
        depth: 0..K.
        device_ms: segments until here.
        cut: whose payload is the cheapest to ship from here; -1 at the end.
        payload_bytes, ship_ms: expected of it.
        device, ship: prices in units of the objective; `ship` is infinite where it is not allowed.
    """

    depth: int
    device_ms: float
    device: float
    cut: int = -1
    payload_bytes: float = math.nan
    ship_ms: float = math.nan
    ship: float = math.inf


@dataclass(frozen=True, slots=True)
class Spent:
    """A part of the frame's time."""

    what: str
    where: Where
    ms: float


@dataclass(frozen=True, slots=True)
class Measure:
    """A number of the input, see `Intake.measures`; `below` is the share of calibration's that are lower, or NaN."""

    name: str
    value: float
    below: float


@dataclass(frozen=True, slots=True)
class About:
    """What is known before any frame comes.

    Attributes:
        camera: its name.
        bundle: the network's name and version.
        policy: who decides.
        policy_id: of the policy file.
        learned: what the policy has learned so far, in one line.
        notes: segment, guard, promise: lines for people.
        inputs: of calibration, to compare the input's measures with.
    """

    camera: str
    bundle: str = ""
    policy: str = ""
    policy_id: str = ""
    learned: str = ""
    notes: tuple[str, ...] = ()
    inputs: Mapping[str, ConfidenceHistogram] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One frame.

    Attributes:
        about: what was known before.
        frame: what it is, in words.
        measures: what its input is like.
        label, name, confidence, exit, where, degraded, marked, late: of the outcome.
        cloud: could it be sent to a worker when it began?
        workers: address to the state of its breaker then.
        splits: depths where it might stop.
        arm: split and threshold; None for a policy without arms.
        propensity: chance that this choice was made.
        learns: does its outcome teach the policy anything?
        exits: what each says, the worker's word last if there is one.
        steps: of the decision.
        told: costs, per depth.
        spent: where the time went; the parts make `latency_ms`.
        latency_ms, deadline_ms, margin_ms: from capture.
        cut, payload_bytes: shipped; -1 and 0 when nothing was.
        drift: findings that are in force.
    """

    about: About
    frame: str
    measures: tuple[Measure, ...]
    label: int
    name: str
    confidence: float
    exit: int
    where: Literal["edge", "cloud"]
    degraded: str
    marked: str
    late: bool
    cloud: bool
    workers: Mapping[str, str]
    splits: tuple[int, ...]
    arm: tuple[int, float] | None
    propensity: float
    learns: bool
    exits: tuple[Said, ...]
    steps: tuple[Step, ...]
    told: tuple[Told, ...]
    spent: tuple[Spent, ...]
    latency_ms: float
    deadline_ms: float
    margin_ms: float
    cut: int
    payload_bytes: int
    drift: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """As JSON types; what is no finite number is null."""
        document: dict[str, Any] = finite(asdict(replace(self, about=replace(self.about, inputs={}))))
        del document["about"]["inputs"]
        return document


def steps_of(ticket: Ticket, ending: Ending) -> tuple[Step, ...]:
    """What its policy decided, asked once more before it has learned from the frame, and what the loop made of it."""
    policy, plan, readings = ticket.rules.policy, ticket.plan, tuple(ticket.readings)
    steps: list[Step] = []
    for count in range(len(readings) + 1):
        steps.append(_step(policy, plan, readings[:count]))
        if steps[-1].action != "deeper":
            break
    if ending.degraded:
        steps.append(Step(ticket.readings[-1].exit if readings else 0, "late", ending.reading.exit, ended(ending)))
    elif steps[-1].action == "ship" and ending.reply is None:
        steps.append(Step(readings[-1].exit, "late", ending.reading.exit, RUN_HERE))
    return tuple(steps)


def ended(ending: Ending) -> str:
    """Why it is not the answer that was wanted."""
    return ENDINGS.get(ending.degraded, ending.degraded)


def _step(policy: Policy, plan: Plan, readings: tuple[Reading, ...]) -> Step:
    action, after = policy.next(plan, readings), readings[-1].exit if readings else 0
    reason = reason_for(policy, plan, readings)
    if isinstance(action, Answer):
        return Step(after, "answer", action.exit, reason.text, dict(reason.losses))
    if isinstance(action, Ship):
        return Step(after, "ship", action.cut, reason.text, dict(reason.losses))
    assert isinstance(action, Deeper)
    target = next((head for head in plan.heads if head > after), after)
    return Step(after, "deeper", target, reason.text, dict(reason.losses))


def said_by(ticket: Ticket, every: Sequence[Reading]) -> tuple[Said, ...]:
    """What each exit says: as it was read in the run, else as it was afterwards.

    Args:
        ticket: with the readings of the run.
        every: of exits 1..K, taken afterwards.
    """
    run = {reading.exit: reading for reading in ticket.readings}
    policy, found = ticket.rules.policy, []
    for place, late in enumerate(every):
        reading = run.get(late.exit, late)
        before = tuple(run.get(one.exit, one) for one in every[:place] if one.exit in ticket.plan.heads)
        asked = (
            reason_for(policy, ticket.plan, (*before, reading)).asked if late.exit in ticket.plan.heads else math.nan
        )
        marked = ticket.mark(reading) if late.exit in run else ""
        found.append(said(ticket, reading, "run" if late.exit in run else "afterwards", asked, marked))
    return tuple(found)


def said(ticket: Ticket, reading: Reading, when: When, asked: float = math.nan, marked: str = "") -> Said:
    """One reading with the name of its class."""
    labels = ticket.deployment.prefix.labels
    name = labels[reading.label] if reading.label >= 0 else "unknown"
    return Said(reading.exit, reading.label, name, reading.confidence, reading.margin, when, asked, marked)


def spent_by(ticket: Ticket, ending: Ending, latency_ms: float) -> tuple[Spent, ...]:
    """Where its time went; the rest is preprocessing, deciding, and waiting for what did not come."""
    run, parcel, reply = ticket.run, ticket.parcel, ending.reply
    parts: list[Spent] = []
    if run is not None:
        for k in range(1, len(run.segment_ms)):
            parts.append(Spent(f"segment {k}", "device", run.segment_ms[k]))
            parts.append(Spent(f"exit {k}", "device", run.head_ms[k]))
    if parcel is not None:
        parts.append(Spent("packing", "device", parcel.encode_ms))
    if reply is not None:
        parts.append(Spent("link", "link", reply.link_ms))
        parts.append(Spent("queue", "cloud", reply.queue_ms))
        parts.append(Spent("worker", "cloud", reply.cloud_ms))
    parts = [part for part in parts if part.ms > 0.0]
    rest = Spent("waiting" if parcel and not reply else "the rest", "rest", latency_ms - sum(part.ms for part in parts))
    return (*parts, rest) if rest.ms > 0.0 else tuple(parts)


def measured(ticket: Ticket, histograms: Mapping[str, ConfidenceHistogram]) -> tuple[Measure, ...]:
    """What its input is like, beside the inputs of the calibration."""
    found = ticket.run.measures() if ticket.run else {}
    return tuple(Measure(name, value, _below(histograms.get(name), value)) for name, value in found.items())


def _below(histogram: ConfidenceHistogram | None, value: float) -> float:
    if histogram is None:
        return math.nan
    return sum(histogram.counts[: bisect_right(histogram.edges, value)]) / sum(histogram.counts)


def described(item: Item) -> str:
    """A frame in words."""
    if isinstance(item, str):
        return f"text of {len(item)} characters"
    height, width = item.shape[:2]
    return f"{width} x {height} pixels, {'colour' if item.shape[-1] == 3 else 'grey'}"
