"""Bandits over a vector of thresholds, one per early exit, for a network that runs on one device only.

The device runs from early exit to early exit and answers at the first one that is sure enough; the last exit always
answers, and nothing is shipped.  With C the confidences at the stops and cost what segments and heads until there
cost, a frame that stops at stop s pays C_s - C_1 - mu * (cost_s - cost_1), so 0 at the first.

CeeBERT and A-CapEEN are of this kind; `bandits.published.ceebert` and `a_capeen` say what they are made of.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from bandits import params, saved
from bandits.arms import ArmBandit
from bandits.policy import Action, Answer, Context, Deeper, Observation, Plan
from bandits.rewards import running_costs
from split_core.errors import ConfigError
from split_core.readings import Reading

Vector = tuple[float, ...]

# Which vectors a frame pays: (all vectors, the played one's index, the stop where the frame ended) to indices.
Settled = Callable[[Sequence[Vector], int, int], list[int]]


def played_only(vectors: Sequence[Vector], played: int, stop: int) -> list[int]:
    """No side observations."""
    return [played]


def below(vectors: Sequence[Vector], played: int, stop: int) -> list[int]:
    """The played vector and all that are nowhere above it: they stop at the same exit or before, whatever the frame.

    What is paid does not depend on the frame, so nothing is biased.
    """
    top = vectors[played]
    return [arm for arm, vector in enumerate(vectors) if all(a <= b for a, b in zip(vector, top, strict=True))]


class ThresholdVectors:
    """A `Policy` over vectors of thresholds.

    Frames that may not stop at every early exit and at the last one run to the deepest exit in reach, and
    teach nothing.

    Args:
        policy: the policy's name.
        exits: K.
        stops: the early exits, ascending, below K.
        vectors: the arms, a threshold per early exit each.
        bandit: chooses among them.
        settled: which of them a frame pays.
        mu: confidence that one unit of cost is worth.
    """

    def __init__(
        self,
        policy: str,
        *,
        exits: int,
        stops: Sequence[int],
        vectors: Sequence[Vector],
        bandit: ArmBandit,
        settled: Settled,
        mu: float,
    ) -> None:
        self._policy, self._heads, self._vectors = policy, (*stops, exits), tuple(vectors)
        self._bandit, self._settled, self._mu = bandit, settled, mu
        self._all = range(len(self._vectors))
        # What `settled` says, kept: it depends on nothing else.
        self._pays: dict[tuple[int, int], list[int]] = {}

    def begin(self, context: Context) -> Plan:
        """Draw the vector for one frame."""
        if not set(self._heads) <= set(context.splits):
            return Plan(context, (max(1, *context.splits),), learns=False)
        arm = self._bandit.choose(self._all)
        return Plan(context, self._heads, arm_index=arm, chance=self._bandit.propensity(arm, self._all))

    def next(self, plan: Plan, readings: tuple[Reading, ...]) -> Action:
        """Answer at the first exit that is sure enough, or at the last."""
        if len(readings) == len(plan.heads):
            return Answer(readings[-1].exit)
        if not readings or readings[-1].confidence < self._vectors[plan.arm_index][len(readings) - 1]:
            return Deeper()
        return Answer(readings[-1].exit)

    def learn(self, observation: Observation) -> None:
        """Pay the vectors that this frame tells something about."""
        plan, readings = observation.plan, observation.readings
        if observation.lost or not plan.learns or not isinstance(observation.action, Answer):
            return
        rewards, where = self._rewards(observation), (plan.arm_index, len(readings) - 1)
        pays = self._pays.get(where)
        if pays is None:
            pays = self._pays[where] = self._settled(self._vectors, *where)
        for arm in pays:
            self._bandit.update(arm, rewards[_stop(self._vectors[arm], readings)])

    def _rewards(self, observation: Observation) -> list[float]:
        """Of stopping at each exit that was read."""
        confidence = [max(reading.confidence, 0.0) for reading in observation.readings]
        costs = running_costs(observation)
        return [
            value - confidence[0] - self._mu * (cost - costs[0]) for value, cost in zip(confidence, costs, strict=True)
        ]

    def state(self) -> dict[str, Any]:
        """The arm list and what the bandit learned, as JSON types."""
        return {**self._identity(), "bandit": self._bandit.state()}

    def _identity(self) -> dict[str, Any]:
        arms = [list(vector) for vector in self._vectors]
        return {"policy": self._policy, "exits": self._heads[-1], "stops": list(self._heads[:-1]), "arms": arms}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`, bit-identically.

        Raises:
            PolicyFileError: the state belongs to another policy, network or list of arms.
        """
        for key, expected in self._identity().items():
            saved.check_same(state, key, expected, self._policy)
        self._bandit.restore(saved.section(state, "bandit", self._policy))


def _stop(vector: Vector, readings: Sequence[Reading]) -> int:
    """The place in `readings` at which `vector` would have ended."""
    sure = (place for place, alpha in enumerate(vector[: len(readings)]) if readings[place].confidence >= alpha)
    return next(sure, len(readings) - 1)


def early_exits(policy: str, given: Any, exits: int, layers: Sequence[int]) -> tuple[int, ...]:
    """Where the early exits are: `given`, or at the same depth as layers `layers` of the papers' 12.

    A network that has fewer exits before its last than that uses all those.

    Args:
        policy: for messages.
        given: "published", or as many exits below K as there are `layers`, or fewer.
        exits: K.
        layers: ascending.

    Raises:
        ConfigError: no such exits.
    """
    if exits < 2:
        raise ConfigError(f"{policy} needs an exit before the final one; this network has {exits} exit")
    if given == "published":
        return _spread(exits, layers)
    if not isinstance(given, Sequence) or isinstance(given, str) or not 1 <= len(given) <= len(layers):
        raise ConfigError(f"at: expected 'published' or 1 to {len(layers)} exits, got {given!r}")
    found = tuple(params.whole(f"at[{place}]", exit, 1, exits - 1) for place, exit in enumerate(given))
    if list(found) != sorted(set(found)):
        raise ConfigError(f"at: expected ascending exits, got {list(found)}")
    return found


def _spread(exits: int, layers: Sequence[int]) -> tuple[int, ...]:
    found: list[int] = []
    for layer in layers:
        exit = max((found[-1] if found else 0) + 1, math.floor(exits * layer / 12 + 0.5))
        if exit < exits:
            found.append(exit)
    return tuple(found)
