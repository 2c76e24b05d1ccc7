"""The one protocol between the runtime and whatever decides: `begin`, `next`, `learn`.

`k` is an exit or the cut behind segment k, 1..K; cut 0 is the network's input.  Costs are in units of
the objective (see `split_core.objective`), readings carry calibrated confidences.  Nothing here does I/O or reads
a clock; randomness is a generator that is passed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from split_core.chance import Chance, probability
from split_core.readings import Reading
from split_core.tensors import FloatArray


@dataclass(frozen=True, slots=True)
class Arm:
    """One choice of an arm bandit: run to `split`, answer there at `threshold` confidence or more.

    Below the threshold the frame is shipped.  Split K always answers (it is the whole model), split 0
    always ships.
    """

    split: int  # 0 = ship the input, K = the whole model on the device
    threshold: float  # in [0, 1]

    def __post_init__(self) -> None:
        if self.split < 0:
            raise ValueError(f"split must not be negative, got {self.split}")
        if not 0.0 <= self.threshold <= 1.0:
            raise ValueError(f"threshold must be in [0, 1], got {self.threshold}")

    def answers_locally(self, exits: int) -> bool:
        """Can this arm never ship?"""
        return self.split == exits or (self.split > 0 and self.threshold == 0.0)


@dataclass(frozen=True, slots=True)
class Costs:
    """What each way to an answer costs now, in units of the objective.

    Attributes:
        device: (K+1,) float64: running segments 1..k on the device; device[0] = 0.
        head: (K+1,) float64: evaluating exit k on the device; head[0] = 0.
        ship: (K,) float64: encode + link + cloud for a frame that has run to depth k = 0..K-1, with the
            cheapest payload that is allowed; +inf where nothing may be shipped.
        payload: the cut that this payload is, per depth; at most the depth itself.
    """

    device: FloatArray
    head: FloatArray
    ship: FloatArray
    payload: tuple[int, ...]

    @property
    def exits(self) -> int:
        """K."""
        return len(self.ship)

    @staticmethod
    def published(exits: int, per_layer: float, offload: float, head: float = 0.0) -> Costs:
        """Constant costs of the SplitEE family: lambda per layer, o per offload, the cloud is free."""
        depth = np.arange(exits + 1, dtype=np.float64)
        heads = np.full(exits + 1, head)
        heads[0] = 0.0
        return Costs(per_layer * depth, heads, np.full(exits, offload), tuple(range(exits)))


@dataclass(frozen=True, slots=True)
class Context:
    """What is known when a frame begins."""

    splits: tuple[int, ...]  # where this frame may stop, ascending, within 0..K
    cloud: bool  # may it be shipped at all?  False while the breaker is open
    deadline_left_ms: float
    costs: Costs

    @property
    def exits(self) -> int:
        """K."""
        return self.costs.exits

    def may_ship(self, depth: int) -> bool:
        """May a frame that has run to `depth` be shipped from there?"""
        if not self.cloud or depth == self.exits or depth not in self.splits:
            return False
        return bool(np.isfinite(self.costs.ship[depth]))


@dataclass(frozen=True, slots=True)
class Plan:
    """What a policy decided when the frame began.

    Attributes:
        context: as given to `begin`.
        heads: exits to evaluate on the way, ascending; the runtime asks `next` after each.
        arm: the arm drawn, or None for a policy without arms.
        arm_index: its place in the policy's arm list; -1 without arms.
        chance: probability with which this choice was made, for off-policy replay; see `propensity`.
        learns: False when the choice was forced by the context (an outage), so nothing may be learned.
    """

    context: Context
    heads: tuple[int, ...]
    arm: Arm | None = None
    arm_index: int = -1
    chance: Chance = 1.0
    learns: bool = True

    @property
    def propensity(self) -> float:
        """`chance` as a number: to be asked for by whoever logs it only."""
        return probability(self.chance)


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer with the reading of `exit`, which must have been computed."""

    exit: int


@dataclass(frozen=True, slots=True)
class Deeper:
    """Run on to the next exit of the plan."""


@dataclass(frozen=True, slots=True)
class Ship:
    """Let the cloud finish, starting from the tensors of `cut` (0 = the compressed input)."""

    cut: int


Action = Answer | Deeper | Ship


@dataclass(frozen=True, slots=True)
class Observation:
    """All that a reward may depend on, and nothing else.  Labels are not here.

    Attributes:
        plan: the plan that was followed.
        readings: computed on the device, in order of exit; a guard tells a confidence of -1, below every
            threshold, where the exit was not allowed to answer.
        action: how the device ended: `Answer` or `Ship`.
        verdict: the final exit's reading, when the cloud's answer came back in time; None when the frame
            was not shipped or the reply was lost.  With an `Answer` it is that of an audit: the frame was answered
            here and checked afterwards, drawn without looking at it.
        cost: what the frame really cost, in units of the objective; NaN when it is not known.  An audit is not in it.
        audited: probability with which an audited frame was drawn; 0 where `verdict` is no audit's.
    """

    plan: Plan
    readings: tuple[Reading, ...]
    action: Answer | Ship
    verdict: Reading | None
    cost: float
    audited: float = 0.0

    @property
    def lost(self) -> bool:
        """Shipped, and no answer: an outage is never an arm's fault, so this teaches nothing."""
        return isinstance(self.action, Ship) and self.verdict is None


class Policy(Protocol):
    """Decides where a frame is answered.

    `next` is asked before the first segment (no readings yet) and after every reading of `plan.heads`.
    It must not `Ship` when `plan.context.cloud` is False, and must not go `Deeper` past the last head.
    """

    def begin(self, context: Context) -> Plan:
        """Start a frame."""

    def next(self, plan: Plan, readings: tuple[Reading, ...]) -> Action:
        """What to do after these readings (ascending exits, all of them from `plan.heads`)."""

    def learn(self, observation: Observation) -> None:
        """Take in one finished frame; may come late, in any order, or never.

        An audited frame comes once, when its audit has ended.  Its verdict is fair to whatever the audited ones among
        the answered frames are a fair sample of: to a bin of the exit that answered, not to an exit passed on the
        way, where frames that were shipped from further on count fully and answered ones by `audited` only.
        """

    def state(self) -> dict[str, Any]:
        """All that was learned, as JSON types; the arm list is part of it."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`, bit-identically.

        Raises:
            PolicyFileError: the state belongs to another policy or another list of arms.
        """
