"""Answer or ship, at one exit: the frame of the hierarchical-inference papers in our protocol.

Their device runs a small network and may ask a large one.  An answer that the large one would not have given costs
1, asking costs beta, and whether an answer was right shows only where it was shipped.  Here the small network is
everything up to `split`, the large one's answer is the verdict, and beta is mu times what shipping from there costs
in this frame.  What is paid to get to `split` is the same either way and does not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from bandits import saved
from bandits.arms import next_action
from bandits.policy import Action, Answer, Arm, Context, Deeper, Observation, Plan, Ship
from split_core.readings import Reading


@dataclass(frozen=True, slots=True)
class Draw:
    """What a rule decided before it saw the frame.

    Attributes:
        index: its number, -1 where there is nothing to draw.
        propensity: probability of this draw.
        arm: the threshold that it amounts to, None where it is none.
    """

    index: int = -1
    propensity: float = 1.0
    arm: Arm | None = None


class OffloadRule(Protocol):
    """Learns which readings of one exit to answer with."""

    def draw(self) -> Draw:
        """Start a frame."""

    def ships(self, draw: int, reading: Reading, price: float) -> bool:
        """Ship this reading's frame?  `draw` is the index of the draw, `price` beta."""

    def learn(self, draw: int, reading: Reading, price: float, verdict: Reading | None) -> None:
        """Take in a frame; `verdict` is None where it was answered on the device."""

    def identity(self) -> dict[str, Any]:
        """What a saved state must match, as JSON types."""

    def state(self) -> dict[str, Any]:
        """All that was learned, as JSON types."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`, bit-identically; PolicyFileError when it does not fit."""


class OffloadPolicy:
    """A `Policy` that runs to `split` and lets a rule decide there.

    Where nothing may be shipped from `split` the frame runs to the deepest exit in reach and teaches nothing.

    Args:
        name: of the policy, for its saved state.
        rule: decides and learns.
        split: 1..K-1.
        exits: K.
        mu: value of a right answer that one unit of cost is worth.
    """

    def __init__(self, name: str, rule: OffloadRule, *, split: int, exits: int, mu: float) -> None:
        self._name, self._rule, self._split, self._exits, self._mu = name, rule, split, exits, mu

    def begin(self, context: Context) -> Plan:
        """Start a frame."""
        if not context.may_ship(self._split):
            return Plan(context, tuple(range(1, max((1, *context.splits)) + 1)), learns=False)
        drawn = self._rule.draw()
        return Plan(context, (self._split,), drawn.arm, drawn.index, drawn.propensity)

    def next(self, plan: Plan, readings: tuple[Reading, ...]) -> Action:
        """Run to the split, then ask the rule."""
        if not plan.context.may_ship(self._split):
            return next_action(plan, readings)
        if not readings:
            return Deeper()
        if self._rule.ships(plan.arm_index, readings[-1], self._price(plan)):
            return Ship(plan.context.costs.payload[self._split])
        return Answer(self._split)

    def learn(self, observation: Observation) -> None:
        """Tell the rule, unless the reply was lost or the choice was not its own."""
        if observation.lost or not observation.plan.learns:
            return
        reading, plan = observation.readings[-1], observation.plan
        # Below every threshold: a guard forbids to answer with it, so there was nothing to decide.
        if reading.confidence >= 0.0:
            self._rule.learn(plan.arm_index, reading, self._price(plan), observation.verdict)

    def _price(self, plan: Plan) -> float:
        return self._mu * float(plan.context.costs.ship[self._split])

    def state(self) -> dict[str, Any]:
        """What a saved state must match and what the rule learned, as JSON types."""
        return {**self._identity(), "rule": self._rule.state()}

    def _identity(self) -> dict[str, Any]:
        return {"policy": self._name, "exits": self._exits, "split": self._split, **self._rule.identity()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`.

        Raises:
            PolicyFileError: the state belongs to another policy, split or list of thresholds.
        """
        for key, expected in self._identity().items():
            saved.check_same(state, key, expected, self._name)
        self._rule.restore(saved.section(state, "rule", self._name))
