"""UEE-UCB: where to stop, learned without labels and without a cloud (Hanawal et al., arXiv 2209.09480).

An arm is an exit k = 1..K, at which the device answers whatever it reads.  Under strong dominance (where an exit is
right, so is every later one) the errors that exit k saves over exit 1 are the frames on which the two disagree,
and playing k shows that for every exit up to k.

Without dominance the rule may settle on an exit that disagrees most, not one that errs least: its regret is then
linear (tests/bandits/published/test_uee_ucb.py).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bandits import params, saved
from bandits.arms import ArmTable, next_action
from bandits.policy import Action, Arm, Context, Costs, Observation, Plan, Policy
from split_core.objective import Objective
from split_core.readings import Reading


def make_uee_ucb(*, exits: int, rng: np.random.Generator, objective: Objective, alpha: float = 1.0) -> Policy:
    """Arms 1..K, all read on the way.

    Args:
        exits: K.
        rng: not used, the rule is deterministic.
        objective: gives mu; the published costs are those of the context with mu = 1.
        alpha: exploration weight; 1 as published.

    Raises:
        ConfigError: a parameter is out of its range.
    """
    return UeeUcb(exits, mu=objective.mu, alpha=params.number("alpha", alpha, 0.0, 1e6))


class UeeUcb:
    """Plays the exit with the highest D_k / O_k + cost_1 - cost_k + sqrt(alpha ln(t + 1) / O_k); ties to the first.

    t counts the choices before this one, O_k the frames on which exit k was read, D_k those of them on which it
    disagreed with exit 1.  While an exit was never read the deepest such one is played, which reads all before
    it: in the first frame that is the last exit, as published.

    Deviation: the authors' cost of an exit is its share of the layers; here it is what the context says that
    segments and heads cost, so that other prices count from the next frame on.

    Args:
        exits: K.
        mu: errors that one unit of cost is worth.
        alpha: exploration weight.
    """

    def __init__(self, exits: int, *, mu: float, alpha: float) -> None:
        self._table = ArmTable("uee_ucb", [Arm(exit, 0.0) for exit in range(1, exits + 1)], exits=exits)
        self._mu, self._alpha = mu, alpha
        self._observed, self._disagreed = [0.0] * exits, [0.0] * exits
        self._choices = 0
        self._costs: Costs | None = None
        self._prices: list[float] = []

    def begin(self, context: Context) -> Plan:
        """Choose the exit for one frame."""
        allowed = self._table.allowed(context)
        if not allowed:
            return self._table.forced(context)
        if len(allowed) == 1:
            return self._table.only_choice(context, allowed[0])
        unread = [arm for arm in allowed if not self._observed[arm]]
        chosen = unread[-1] if unread else max(allowed, key=self._indices(context.costs).__getitem__)
        self._choices += 1
        return self._table.plan(context, chosen, heads="all")

    def _indices(self, costs: Costs) -> list[float]:
        """(K,) index of every exit; infinite where it was never read."""
        prices, explored = self._priced(costs), self._alpha * math.log(self._choices + 1)
        return [
            disagreed / observed + prices[0] - price + (explored / observed) ** 0.5 if observed else math.inf
            for disagreed, observed, price in zip(self._disagreed, self._observed, prices, strict=True)
        ]

    def _priced(self, costs: Costs) -> list[float]:
        """(K,) what stopping at each exit costs, with the heads on the way, in errors."""
        if costs is not self._costs:
            self._costs, self._prices = costs, (self._mu * (costs.device + np.cumsum(costs.head))[1:]).tolist()
        return self._prices

    def next(self, plan: Plan, readings: tuple[Reading, ...]) -> Action:
        """See `bandits.arms.next_action`."""
        return next_action(plan, readings)

    def learn(self, observation: Observation) -> None:
        """Count who disagreed with exit 1."""
        if observation.lost or not observation.plan.learns or not observation.readings:
            return
        first = observation.readings[0].label
        for reading in observation.readings:
            self._observed[reading.exit - 1] += 1.0
            self._disagreed[reading.exit - 1] += reading.label != first

    def state(self) -> dict[str, Any]:
        """The arm list and the counts, as JSON types."""
        return {
            **self._table.state(),
            "choices": self._choices,
            "observed": list(self._observed),
            "disagreed": list(self._disagreed),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`, bit-identically.

        Raises:
            PolicyFileError: the state belongs to another policy or another network.
        """
        self._table.check(state)
        count, policy = len(self._observed), self._table.policy
        observed = saved.numbers(state, "observed", count, policy, least=0.0)
        disagreed = saved.numbers(state, "disagreed", count, policy, least=0.0)
        self._choices = int(saved.number(state, "choices", policy, least=0.0))
        self._observed, self._disagreed = observed, disagreed
