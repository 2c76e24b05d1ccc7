"""Ours, after an idea of others: a contextual bandit at every exit on the way (LinUCB, Li et al. 2010).

DEE (Ju et al., CIKM 2021) decides at each exit, from its confidence and the latency so far, whether to exit or to go
on, where later rewards hang on earlier choices; LEE (CCGrid 2021) does so under service outages.  Their formulas are
not public, so this is not DEE: only its context, its actions and what they are worth, confidence less priced cost, are
taken from what their abstracts say.

At exit k the context is x = (1, C_k, mu * cost so far, mu * cost of shipping from here), the last two at most 1.
Answering is worth C_k, which is known.  Going one exit deeper, or shipping, is worth

    C_k + x . theta + c * sqrt(x . A^-1 x) - mu * cost of that step,    A = I + sum of x x^T, theta = A^-1 sum of r x

with theta learned per exit and action from the gain r: for shipping the verdict's confidence less C_k, for going deeper
the confidence of the answer in the end less C_k and less mu times what was still spent behind the next exit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from operator import mul
from typing import Any

import numpy as np

from bandits import params, saved
from bandits.policy import Action, Answer, Context, Costs, Deeper, Observation, Plan, Policy, Ship
from split_core.errors import PolicyFileError
from split_core.objective import Objective
from split_core.readings import Reading

FEATURES = 4
Features = tuple[float, ...]


def make_lin_ucb(*, exits: int, rng: np.random.Generator, objective: Objective, c: float = 1.0) -> Policy:
    """Answer, go deeper or ship, decided after every exit.

    Args:
        exits: K.
        rng: not used, the rule is deterministic.
        objective: gives mu.
        c: exploration weight.  With less than the dearest step costs, that step may never be tried.

    Raises:
        ConfigError: a parameter is out of its range.
    """
    return LinUcb(exits, mu=objective.mu, c=params.number("c", c, 0.0, 100.0))


class Ridge:
    """Ridge regression of a reward on features, one sample at a time; plain lists, as numpy is slower at this size."""

    def __init__(self) -> None:
        self._inverse = [[float(row == column) for column in range(FEATURES)] for row in range(FEATURES)]
        self._sums = [0.0] * FEATURES

    def bound(self, x: Features, c: float) -> float:
        """Upper confidence bound of the reward at `x`."""
        projected = self._projected(x)
        return _dot(projected, self._sums) + c * math.sqrt(max(0.0, _dot(projected, x)))

    def learn(self, x: Features, reward: float) -> None:
        """Take in one reward at `x` (Sherman and Morrison 1950)."""
        projected = self._projected(x)
        scale = 1.0 + max(0.0, _dot(projected, x))
        for row, left in zip(self._inverse, projected, strict=True):
            for column, right in enumerate(projected):
                row[column] -= left * right / scale
        self._sums = [total + reward * feature for total, feature in zip(self._sums, x, strict=True)]

    def _projected(self, x: Features) -> list[float]:
        return [_dot(row, x) for row in self._inverse]

    def state(self) -> dict[str, Any]:
        """A^-1, row by row, and the sum of r x."""
        return {"inverse": [value for row in self._inverse for value in row], "sums": list(self._sums)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`, bit-identically.

        Raises:
            PolicyFileError: not the state of such a regression.
        """
        flat = saved.numbers(state, "inverse", FEATURES**2, "lin_ucb", least=-1.0)
        inverse = [flat[start : start + FEATURES] for start in range(0, len(flat), FEATURES)]
        symmetric = all(list(row) == column for row, column in zip(zip(*inverse, strict=True), inverse, strict=True))
        if not symmetric or max(flat) > 1.0 or min(row[place] for place, row in enumerate(inverse)) <= 0.0:
            raise PolicyFileError("saved state of policy 'lin_ucb': inverse is none; remove the saved state")
        self._sums = saved.numbers(state, "sums", FEATURES, "lin_ucb")
        self._inverse = inverse


class _Prices:
    """Costs in confidence, as plain lists."""

    def __init__(self, costs: Costs, mu: float) -> None:
        self._device, self._head = (mu * costs.device).tolist(), (mu * costs.head).tolist()
        self.ship = [mu * ship if math.isfinite(ship) else math.inf for ship in costs.ship.tolist()]

    def until(self, heads: Sequence[int]) -> list[float]:
        """Segments until each of `heads`, and the heads read until then."""
        read = accumulate(self._head[head] for head in heads)
        return [self._device[head] + heads_read for head, heads_read in zip(heads, read, strict=True)]

    def features(self, reading: Reading, spent: float) -> Features:
        """The context at one exit."""
        ship = self.ship[reading.exit] if reading.exit < len(self.ship) else 1.0
        return 1.0, max(reading.confidence, 0.0), min(1.0, spent), min(1.0, ship)


class LinUcb:
    """A `Policy`; see the module's text.

    Args:
        exits: K.
        mu: confidence that one unit of cost is worth.
        c: exploration weight.
    """

    def __init__(self, exits: int, *, mu: float, c: float) -> None:
        self._exits, self._mu, self._c = exits, mu, c
        self._deeper = [Ridge() for _ in range(exits - 1)]
        self._ship = [Ridge() for _ in range(exits - 1)]
        # Costs are priced anew every few frames; what follows from them is kept until then.
        self._costs: Costs | None = None
        self._prices = _Prices(Costs.published(exits, 0.0, 0.0), mu)

    def begin(self, context: Context) -> Plan:
        """Read every exit where the frame may stop.  What is worth while in an outage is no lesson for later."""
        reach = tuple(split for split in context.splits if split > 0)
        if reach:
            return Plan(context, reach, learns=context.cloud)
        return Plan(context, () if context.may_ship(0) else (1,), learns=False)

    def next(self, plan: Plan, readings: tuple[Reading, ...]) -> Action:
        """The action that is worth most by its upper bound; answering before going deeper, that before shipping."""
        if not plan.heads:
            return Ship(plan.context.costs.payload[0])
        if not readings:
            return Deeper()
        return max(self._choices(plan, readings), key=lambda choice: choice[0])[1]

    def _choices(self, plan: Plan, readings: tuple[Reading, ...]) -> list[tuple[float, Action]]:
        """What may be done after these readings, and what it is worth beyond answering now."""
        context, last, place = plan.context, readings[-1], len(readings)
        prices = self._priced(context.costs)
        spent = prices.until(plan.heads[: place + 1])
        x = prices.features(last, spent[place - 1])
        found: list[tuple[float, Action]] = [(0.0, Answer(last.exit))]
        if place < len(plan.heads):
            step = spent[place] - spent[place - 1]
            found.append((self._deeper[last.exit - 1].bound(x, self._c) - step, Deeper()))
        if context.may_ship(last.exit):
            bound = self._ship[last.exit - 1].bound(x, self._c)
            found.append((bound - prices.ship[last.exit], Ship(context.costs.payload[last.exit])))
        return found

    def _priced(self, costs: Costs) -> _Prices:
        if costs is not self._costs:
            self._costs, self._prices = costs, _Prices(costs, self._mu)
        return self._prices

    def learn(self, observation: Observation) -> None:
        """Teach every choice on the way what came of it; a lost reply teaches nothing."""
        plan, readings = observation.plan, observation.readings
        if observation.lost or not plan.learns or not readings:
            return
        prices, last = self._priced(plan.context.costs), readings[-1]
        spent = prices.until([reading.exit for reading in readings])
        xs = [prices.features(reading, until) for reading, until in zip(readings, spent, strict=True)]
        value, total = max(last.confidence, 0.0), spent[-1]
        if observation.verdict is not None and isinstance(observation.action, Ship):
            value, total = observation.verdict.confidence, total + prices.ship[last.exit]
            self._ship[last.exit - 1].learn(xs[-1], value - xs[-1][1])
        for place, reading in enumerate(readings[:-1]):
            gain = value - xs[place][1] - (total - spent[place + 1])
            self._deeper[reading.exit - 1].learn(xs[place], gain)

    def state(self) -> dict[str, Any]:
        """What was learned per exit and action, as JSON types."""
        learned = {
            f"{action} {exit}": ridge.state()
            for action, ridges in (("deeper", self._deeper), ("ship", self._ship))
            for exit, ridge in enumerate(ridges, 1)
        }
        return {"policy": "lin_ucb", "exits": self._exits, "learned": learned}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`, bit-identically.

        Raises:
            PolicyFileError: the state belongs to another policy or another network.
        """
        for key, expected in (("policy", "lin_ucb"), ("exits", self._exits)):
            saved.check_same(state, key, expected, "lin_ucb")
        learned, restored = saved.section(state, "learned", "lin_ucb"), LinUcb(self._exits, mu=self._mu, c=self._c)
        for action, ridges in (("deeper", restored._deeper), ("ship", restored._ship)):
            for exit, ridge in enumerate(ridges, 1):
                ridge.restore(saved.section(learned, f"{action} {exit}", "lin_ucb"))
        self._deeper, self._ship = restored._deeper, restored._ship


def _dot(left: Sequence[float], right: Sequence[float]) -> float:
    total: float = sum(map(mul, left, right))
    return total
