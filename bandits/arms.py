"""From arm bandit to policy: which arms a frame may use, how an arm is played, what its frame teaches.

k is a split or an exit, alpha a threshold.  An arm (k, alpha) runs segments 1..k, answers there when the reading
of exit k is at least alpha sure, and otherwise ships.  An outage is no arm's fault: without a cloud only
arms that answer locally are drawn, and when there is none the frame goes to the deepest exit it may reach and
teaches nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, Protocol

import numpy as np

from bandits import saved
from bandits.policy import Action, Answer, Arm, Context, Deeper, Observation, Plan, Ship
from split_core.chance import Chance
from split_core.readings import Reading

# "played": the exit at the arm's split only.  "all": every exit on the way, for side observations.
Heads = Literal["played", "all"]

RewardRule = Callable[[Observation], Iterable[tuple[int, float]]]


class ArmBandit(Protocol):
    """Learns which of A arms pays best.  Arms are indices 0..A-1."""

    def choose(self, allowed: Sequence[int]) -> int:
        """The arm to play now; `allowed` is ascending and not empty."""

    def propensity(self, arm: int, allowed: Sequence[int]) -> Chance:
        """Probability with which the last `choose(allowed)` gave `arm`, also if worked out later; 1 without chance."""

    def update(self, arm: int, reward: float) -> None:
        """Take in one reward of `arm`; several per choice are side observations, none is a lost reply."""

    def state(self) -> dict[str, Any]:
        """All that was learned, as JSON types."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`, bit-identically; PolicyFileError when it does not fit."""


def joint_arms(exits: int, splits: Iterable[int], thresholds: Sequence[float]) -> list[Arm]:
    """Every split with every threshold, in this order; splits 0 and K have no threshold to choose, so one arm each."""
    arms: list[Arm] = []
    for split in sorted(splits):
        if split == 0:
            arms.append(Arm(0, 1.0))
        elif split == exits:
            arms.append(Arm(exits, 0.0))
        else:
            arms += [Arm(split, alpha) for alpha in sorted(thresholds)]
    return arms


def next_action(plan: Plan, readings: tuple[Reading, ...]) -> Action:
    """What the arm of `plan` does after these readings; a plan without an arm answers at its last head."""
    arm = plan.arm
    if arm is None:
        return Answer(plan.heads[-1]) if len(readings) == len(plan.heads) else Deeper()
    if arm.split == 0:
        return Ship(plan.context.costs.payload[0])
    if not readings or readings[-1].exit != arm.split:
        return Deeper()
    if arm.split == plan.context.exits or readings[-1].confidence >= arm.threshold:
        return Answer(arm.split)
    return Ship(plan.context.costs.payload[arm.split])


class ArmTable:
    """The arms of one policy: which of them a context allows, and the plans that play them.

    Args:
        policy: the policy's name, for its saved state.
        arms: in the order of their indices.
        exits: K.
    """

    def __init__(self, policy: str, arms: Sequence[Arm], *, exits: int) -> None:
        if not arms or max(arm.split for arm in arms) > exits:
            raise ValueError(f"policy {policy!r} needs arms with splits up to {exits}, got {list(arms)}")
        self.policy, self.arms, self.exits = policy, tuple(arms), exits
        self._heads: dict[Heads, list[tuple[int, ...]]] = {
            "played": [(arm.split,) if arm.split else () for arm in arms],
            "all": [tuple(range(1, arm.split + 1)) for arm in arms],
        }
        self._allowed: dict[tuple[tuple[int, ...], bool, bytes], tuple[int, ...]] = {}

    def allowed(self, context: Context) -> tuple[int, ...]:
        """Indices of the arms that `context` lets play, ascending; may be empty."""
        key = (context.splits, context.cloud, np.isfinite(context.costs.ship).tobytes())
        found = self._allowed.get(key)
        if found is None:
            found = tuple(i for i, arm in enumerate(self.arms) if self._may_play(arm, context))
            self._allowed[key] = found
        return found

    def _may_play(self, arm: Arm, context: Context) -> bool:
        if arm.split not in context.splits:
            return False
        if arm.answers_locally(self.exits):
            return True
        return context.cloud and bool(np.isfinite(context.costs.ship[arm.split]))

    def plan(self, context: Context, index: int, *, heads: Heads, propensity: Chance = 1.0) -> Plan:
        """Play arm `index`, reading `heads` on the way."""
        return Plan(context, self._heads[heads][index], self.arms[index], index, propensity)

    def only_choice(self, context: Context, index: int) -> Plan:
        """Play arm `index` because the context allows no other one; nothing may be learned from that.

        A policy of one arm is no worse for it: there is nothing that it could learn.
        """
        return Plan(context, self._heads["played"][index], self.arms[index], index, learns=False)

    def forced(self, context: Context) -> Plan:
        """No arm may be played: run to the deepest exit in reach, reading all, and answer there."""
        deepest = max((1, *context.splits))
        return Plan(context, tuple(range(1, deepest + 1)), learns=False)

    def state(self) -> dict[str, Any]:
        """What a saved state must match."""
        return {
            "policy": self.policy,
            "exits": self.exits,
            "arms": [[arm.split, arm.threshold] for arm in self.arms],
        }

    def check(self, state: dict[str, Any]) -> None:
        """Refuse a state that was saved with other arms.

        Raises:
            PolicyFileError: another policy, number of exits or list of arms.
        """
        for key, expected in self.state().items():
            saved.check_same(state, key, expected, self.policy)


class ArmPolicy:
    """A `Policy` made of arms, a bandit that chooses among them, and a rule that pays them.

    Args:
        table: the arms.
        bandit: chooses by index.
        rewards: finished frame to (arm index, reward) pairs, side observations included.
        heads: which exits are read on the way to an arm's split.
    """

    def __init__(self, table: ArmTable, bandit: ArmBandit, rewards: RewardRule, *, heads: Heads) -> None:
        self._table, self._bandit, self._rewards, self._heads = table, bandit, rewards, heads

    def begin(self, context: Context) -> Plan:
        """Draw the arm for one frame."""
        allowed = self._table.allowed(context)
        if not allowed:
            return self._table.forced(context)
        # One arm is no choice: the bandit is not asked, so an outage does not age what it knows.
        if len(allowed) == 1:
            return self._table.only_choice(context, allowed[0])
        arm = self._bandit.choose(allowed)
        propensity = self._bandit.propensity(arm, allowed)
        return self._table.plan(context, arm, heads=self._heads, propensity=propensity)

    def next(self, plan: Plan, readings: tuple[Reading, ...]) -> Action:
        """See `next_action`."""
        return next_action(plan, readings)

    def learn(self, observation: Observation) -> None:
        """Pay the arms that this frame tells something about; a lost reply tells nothing."""
        if observation.lost or not observation.plan.learns or observation.plan.arm is None:
            return
        for arm, reward in self._rewards(observation):
            self._bandit.update(arm, reward)

    def state(self) -> dict[str, Any]:
        """The arm list and what the bandit learned, as JSON types."""
        return {**self._table.state(), "bandit": self._bandit.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`.

        Raises:
            PolicyFileError: the state belongs to another policy or another list of arms.
        """
        self._table.check(state)
        self._bandit.restore(saved.section(state, "bandit", self._table.policy))
