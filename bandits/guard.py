"""What may not be answered early, around any policy: classes, streams, unsure answers, a predicate, a depth.

The inner policy decides as ever.  An early answer of its is taken only if the guard has nothing against it; else
the frame goes on: deeper on the plan, shipped at its end, and run to the last exit in reach when nothing may be
shipped.  Where nothing deeper is left the frame is answered all the same, and `mark` says what is wrong with it.

**What is learned.**  What happened: the action, verdict and cost of the frame.  A reading that must not answer is
told with a confidence below every threshold, because under this guard no arm answers with it and all ship it;
where the inner policy decides it is one of confidence 0.  Frames that the guard ran beyond the plan teach nothing:
no arm would have done that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from bandits.policy import Action, Answer, Context, Deeper, Observation, Plan, Policy, Ship
from bandits.reasons import Reason, reason_for
from split_core.conformal import ConformalSets
from split_core.readings import Reading

# Why an answer is not one to rely on; "" is fine.
NEVER_EARLY, UNSURE, GUARDRAIL, UNCERTIFIED = "never_early", "unsure", "guardrail", "uncertified"

WORTHLESS, BARRED = 0.0, -1.0  # the confidence of a forbidden reading where the inner policy decides, and learns

Predicate = Callable[[Reading], bool]


@dataclass(frozen=True, slots=True)
class Limits:
    """What the guard keeps.

    Attributes:
        never_early: classes that no early exit answers.
        never: no frame of this stream is answered early.
        deepest: the last exit that is computed here; 0 sets no limit.
        sets: an answer that they call unsure goes on; None never abstains.
        predicate: False sends an answer on; asked once per exit, last of all; None allows everything.
        floors: of exits 1..K-1, the least confidence that may answer, infinity for none; empty sets no floor.
    """

    never_early: frozenset[int] = frozenset()
    never: bool = False
    deepest: int = 0
    sets: ConformalSets | None = None
    predicate: Predicate | None = None
    floors: tuple[float, ...] = ()

    def __bool__(self) -> bool:
        return self != Limits()


@dataclass(frozen=True, slots=True)
class GuardedPlan(Plan):
    """The inner policy's plan, with the last exit in reach behind its heads.

    Attributes:
        inner: as the inner policy made it.
        limited: exit to what limits say about its reading, without the predicate.
        found: exit to what the guard found about its reading.
    """

    inner: Plan | None = None
    limited: dict[int, str] = field(default_factory=dict, compare=False, repr=False)
    found: dict[int, str] = field(default_factory=dict, compare=False, repr=False)


class Guard:
    """A `Policy` around another one.

    Args:
        inner: decides.
        limits: are kept.
        exits: K.
    """

    def __init__(self, inner: Policy, limits: Limits, *, exits: int) -> None:
        self.inner, self.limits = inner, limits
        self.deepest = min(limits.deepest or exits, exits)
        self._exits = exits

    def begin(self, context: Context) -> Plan:
        """Start a frame within the depth that is allowed."""
        # Where no stop is shallow enough the shallowest must do: a frame has to stop somewhere.
        within = tuple(split for split in context.splits if split <= self.deepest) or context.splits[:1]
        plan = self.inner.begin(context if within == context.splits else replace(context, splits=within))
        last = plan.heads[-1] if plan.heads else 0
        heads = (*plan.heads, within[-1]) if within[-1] > last else plan.heads
        return GuardedPlan(context, heads, plan.arm, plan.arm_index, plan.chance, plan.learns, inner=plan)

    def next(self, plan: Plan, readings: tuple[Reading, ...]) -> Action:
        """The inner policy's choice, unless it is an early answer that must not be given."""
        plan, inner = _parts(plan)
        if len(readings) > len(inner.heads):
            return self._go_on(plan, readings) if self._against(plan, readings[-1]) else Answer(readings[-1].exit)
        action = self.inner.next(inner, self._judged(plan, readings, WORTHLESS))
        if not isinstance(action, Answer) or not self._against(plan, _at(readings, action.exit)):
            return action
        return self._go_on(plan, readings)

    def _go_on(self, plan: GuardedPlan, readings: tuple[Reading, ...]) -> Action:
        """Deeper on the plan, else shipped, else beyond the plan, else answered as well as can be."""
        context, last = plan.context, readings[-1].exit
        if last == self._exits:
            return Answer(last)  # nobody knows better than the whole network
        assert plan.inner is not None
        if len(readings) < len(plan.inner.heads):
            return Deeper()
        if context.may_ship(last):
            return Ship(context.costs.payload[last])
        if len(readings) < len(plan.heads):
            return Deeper()
        return Answer(max(readings, key=lambda one: self.standing(plan, one)).exit)

    def explain(self, plan: Plan, readings: tuple[Reading, ...]) -> Reason:
        """The inner policy's reason, and what the guard has against the last reading; asks no predicate."""
        plan, inner = _parts(plan)
        if not readings:
            return reason_for(self.inner, inner, readings)
        last = readings[-1]
        against = plan.found.get(last.exit) or self._limited(plan, last)
        if len(readings) > len(inner.heads):
            return Reason(f"beyond the policy's plan: the guard says {against or 'nothing against this exit'}")
        reason = reason_for(self.inner, inner, readings)
        floor = self.limits.floors[last.exit - 1] if self.limits.floors and last.exit < self._exits else 0.0
        asked = max(floor, reason.asked) if reason.asked == reason.asked or floor else reason.asked
        text = f"{reason.text}; the guard says {against}" if against else reason.text
        return replace(reason, text=text, asked=asked)

    def learn(self, observation: Observation) -> None:
        """Hand on what happened, in the terms of the inner plan."""
        plan, inner = _parts(observation.plan)
        if len(observation.readings) > len(inner.heads):
            return
        # The caller may say that nothing is to be learned from a plan that it got.
        told = inner if inner.learns == plan.learns else replace(inner, learns=plan.learns)
        readings = self._judged(plan, observation.readings, BARRED)
        self.inner.learn(replace(observation, plan=told, readings=readings))

    def state(self) -> dict[str, Any]:
        """The inner policy's: the guard learns nothing."""
        return self.inner.state()

    def restore(self, state: dict[str, Any]) -> None:
        """See the inner policy.

        Raises:
            PolicyFileError: the state belongs to another policy.
        """
        self.inner.restore(state)

    def mark(self, plan: Plan, reading: Reading) -> str:
        """What is wrong with giving this reading as the answer: one of the words above; "" is nothing."""
        return self._against(_parts(plan)[0], reading)

    def standing(self, plan: Plan, reading: Reading) -> tuple[bool, float, int]:
        """Orders readings by how good an answer they are: allowed ones first, then by confidence, then by depth."""
        return not self.mark(plan, reading), reading.confidence, reading.exit

    def _judged(self, plan: GuardedPlan, readings: tuple[Reading, ...], confidence: float) -> tuple[Reading, ...]:
        if not any([self._barred(plan, one) for one in readings]):
            return readings
        return tuple(replace(one, confidence=confidence) if self._barred(plan, one) else one for one in readings)

    def _barred(self, plan: GuardedPlan, reading: Reading) -> bool:
        """Must this reading not answer early, as far as that is known without asking the predicate?"""
        exit = reading.exit
        return exit < self._exits and bool(plan.found.get(exit) or self._limited(plan, reading))

    def _limited(self, plan: GuardedPlan, reading: Reading) -> str:
        # Asked again after every exit of a long plan: remembered.
        known = plan.limited.get(reading.exit)
        if known is None:
            known = plan.limited[reading.exit] = self._by_limits(reading)
        return known

    def _against(self, plan: GuardedPlan, reading: Reading) -> str:
        if reading.exit not in plan.found:
            plan.found[reading.exit] = self._limited(plan, reading) or self._by_predicate(reading)
        return plan.found[reading.exit]

    def _by_limits(self, reading: Reading) -> str:
        limits = self.limits
        if reading.exit < self._exits and (limits.never or reading.label in limits.never_early):
            return NEVER_EARLY
        if reading.exit < self._exits and limits.floors and reading.confidence < limits.floors[reading.exit - 1]:
            return UNCERTIFIED
        return UNSURE if limits.sets is not None and limits.sets.unsure(reading) else ""

    def _by_predicate(self, reading: Reading) -> str:
        predicate = self.limits.predicate
        return "" if predicate is None or predicate(reading) else GUARDRAIL


def _parts(plan: Plan) -> tuple[GuardedPlan, Plan]:
    if not isinstance(plan, GuardedPlan) or plan.inner is None:
        raise TypeError(f"a guard takes the plans that it made, got {type(plan).__name__}")
    return plan, plan.inner


def _at(readings: tuple[Reading, ...], exit: int) -> Reading:
    return next(one for one in readings if one.exit == exit)
