"""Ours: a bandit over split and threshold together, with side observations and current prices.

The index of arm (k, alpha) is

    value - mu * (device_k + head_k + share shipped * ship_k) + c * sqrt(ln t / N)

where value, share shipped and N come from `bandits.strata`, which knows no prices, and the costs are those of the
frame's own context: when the link gets dearer, the very next frame counts with it and nothing is learned anew.

Exits before the arm's split are read for what they teach about shallower arms, and they cost time: all of them in
the first frames, in one frame of 8 later on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from bandits import params, saved
from bandits.arms import ArmTable, Heads, joint_arms, next_action
from bandits.indices.build import Choice, make_index
from bandits.indices.index import Index
from bandits.indices.statistics import Statistics
from bandits.policy import Action, Arm, Context, Costs, Observation, Plan, Policy
from bandits.strata import Strata
from bandits.strata_window import make_strata
from split_core.errors import PolicyFileError
from split_core.objective import Objective
from split_core.readings import Reading
from split_core.tensors import FloatArray

# 0 always answers at its split: the arms of an outage.  1 always ships from it.
THRESHOLDS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 1.0)
# In so many first frames all exits on the way are read.
READ_ALL_FIRST = 256
# In so many first frames the deepest arm is played.  It shows every exit and the final one, so all estimates start
# from the same frames; with fewer, an unlucky start may take thousands of frames to be corrected.
DEEPEST_FIRST = 64
# But no more than cost this much reward together, once there were so many: where depth is dear that is soon.
DEEPEST_WORTH, DEEPEST_LEAST = 10.0, 8


def make_grid(
    *,
    exits: int,
    rng: np.random.Generator,
    objective: Objective,
    splits: Sequence[int] | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
    c: float = 0.05,
    discount: float = 0.9998,
    side_every: int = 8,
    index: Choice = "ucb1",
    forget: Choice = "discount",
) -> Policy:
    """The joint grid: split 0, splits 1..K-1 with every threshold, split K.

    Args:
        exits: K.
        rng: for an index that draws.
        objective: gives mu.
        splits: which of 0..K to use, all unless told.
        thresholds: for the splits between.
        c: exploration weight of ucb1; rewards of neighbouring arms differ by thousandths, so 1 would explore for ever.
        discount: weight of an observation that is one frame older; .9998 remembers about 5,000 frames,
            1 never forgets.
        side_every: one frame in so many reads all exits on the way; 1 always (and pays for it), 0 never (and
            learns shallow exits from their own arms only).
        index: which of `bandits.indices`, of those that need only means and counts.  One with parameters, its own
            `c` for one: {name: kl_ucb, c: 0.2}.
        forget: discount, none, window or change (of confidences), in the same way.

    Raises:
        ConfigError: a parameter is out of its range.
    """
    where = params.splits("splits", range(exits + 1) if splits is None else splits, exits)
    alphas = params.thresholds("thresholds", thresholds)
    arms = joint_arms(exits, where, alphas)
    return Grid(
        ArmTable("grid", arms, exits=exits),
        make_strata(exits, alphas, forget=forget, discount=params.discount("discount", discount)),
        alphas,
        mu=objective.mu,
        c=params.number("c", c, 0.0, 100.0),
        index=None if index == "ucb1" else make_index(index, len(arms), rng=rng),
        side_every=params.whole("side_every", side_every, 0, 1_000_000),
    )


class Grid:
    """A `Policy` over the arms of `table`.

    Args:
        table: arms of `joint_arms`.
        strata: what frames taught, for the same exits and thresholds.
        thresholds: ascending.
        mu: confidence that one unit of cost is worth.
        c: exploration weight of UCB1.
        index: ranks arms instead of UCB1, which is played where none is given.
        side_every: one frame in so many reads all exits on the way; 0 for none.
    """

    def __init__(
        self,
        table: ArmTable,
        strata: Strata,
        thresholds: Sequence[float],
        *,
        mu: float,
        c: float,
        index: Index | None,
        side_every: int,
    ) -> None:
        self._table, self._strata, self._exits = table, strata, table.exits
        self._mu, self._c, self._side_every = mu, c, side_every
        self._index, self._known = index, Statistics(len(table.arms))
        self._choices = 0
        self._split = np.array([arm.split for arm in table.arms])
        self._cell = np.array([_cell(arm, table.exits, thresholds) for arm in table.arms])
        # Costs are priced anew every few frames; what follows from them is kept until then.
        self._costs: Costs | None = None
        self._at_arm = self._shipping = np.zeros(0)

    def begin(self, context: Context) -> Plan:
        """Draw the arm for one frame."""
        allowed = self._table.allowed(context)
        if not allowed:
            return self._table.forced(context)
        if len(allowed) == 1:
            return self._table.only_choice(context, allowed[0])
        chosen, propensity = self._deepest(context.costs, allowed) if self._choices < DEEPEST_FIRST else -1, 1.0
        if chosen < 0:
            chosen, propensity = self._best(context.costs, allowed)
        self._choices += 1
        return self._table.plan(context, chosen, heads=self._heads(), propensity=propensity)

    def _deepest(self, costs: Costs, allowed: tuple[int, ...]) -> int:
        """The last arm that is not dearer than the best of answers is worth; -1 if all are, or enough was spent."""
        at_arm, shipping = self._prices(costs)
        price = at_arm + shipping[self._split % self._exits, 0]
        arm = next((arm for arm in reversed(allowed) if price[arm] < 1.0), -1)
        spent = self._choices >= DEEPEST_LEAST and self._choices * price[arm] >= DEEPEST_WORTH
        return -1 if spent else arm

    def _best(self, costs: Costs, allowed: tuple[int, ...]) -> tuple[int, float]:
        """The arm with the highest index, and the probability of that."""
        if self._index is not None:
            self._tell_index(costs)
            arm = self._index.choose(self._known, allowed)
            return arm, self._index.propensity(arm, allowed)
        index = self._indices(costs)
        return allowed[int(index.argmax() if len(allowed) == len(index) else index[list(allowed)].argmax())], 1.0

    def _heads(self) -> Heads:
        if self._side_every == 0:
            return "played"
        side = self._choices <= READ_ALL_FIRST or self._choices % self._side_every == 0
        return "all" if side else "played"

    def _prices(self, costs: Costs) -> tuple[FloatArray, FloatArray]:
        """What is paid in confidence: (A,) at an arm whatever the frame, (K, 1) per share shipped from each depth.

        Where nothing may be shipped it costs 0: no arm that would is allowed.
        """
        if costs is not self._costs:
            ship = self._mu * np.where(np.isfinite(costs.ship), costs.ship, 0.0)
            at_arm = self._mu * (costs.device + costs.head)[self._split]
            # Split K has the estimates of shipping all from depth 0, and ships nothing.
            at_arm[self._split == self._exits] -= ship[0]
            self._at_arm, self._shipping, self._costs = at_arm, ship[:, None], costs
        return self._at_arm, self._shipping

    def _indices(self, costs: Costs) -> FloatArray:
        """(A,) upper confidence bound of every arm's reward at these costs: UCB1, in arrays."""
        estimates = self._strata.estimates()
        at_arm, shipping = self._prices(costs)
        # Never 0: an exit that was never read must be tried, also by c = 0.
        width = max(1e-12, self._c * math.sqrt(math.log(1.0 + self._strata.frames)))
        bound = estimates.value - estimates.share * shipping + width * np.sqrt(estimates.uncertainty)
        result: FloatArray = bound.take(self._cell) - at_arm
        return result

    def _tell_index(self, costs: Costs) -> None:
        """Means and counts of every arm at these costs, as an index reads them."""
        estimates, known = self._strata.estimates(), self._known
        at_arm, shipping = self._prices(costs)
        uncertainty = estimates.uncertainty.take(self._cell)
        known.mean = ((estimates.value - estimates.share * shipping).take(self._cell) - at_arm).tolist()
        known.pulls, known.root = (1.0 / uncertainty).tolist(), np.sqrt(uncertainty).tolist()
        known.choices = 1.0 + self._strata.frames

    def next(self, plan: Plan, readings: tuple[Reading, ...]) -> Action:
        """See `bandits.arms.next_action`."""
        return next_action(plan, readings)

    def learn(self, observation: Observation) -> None:
        """Take in what the frame showed of every arm; a lost reply shows nothing."""
        if observation.lost or not observation.plan.learns:
            return
        readings, final = observation.readings, observation.verdict
        ran_to_end = bool(readings) and readings[-1].exit == self._exits
        if ran_to_end:
            readings, final = readings[:-1], readings[-1]
        self._strata.observe(readings, None if final is None else final.confidence, ran_to_end=ran_to_end)

    def state(self) -> dict[str, Any]:
        """The arm list and what was learned, as JSON types."""
        drawing = self._index.state() if self._index is not None else {}
        return {**self._table.state(), **drawing, "choices": self._choices, "strata": self._strata.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`.

        Raises:
            PolicyFileError: the state belongs to another policy or another list of arms.
        """
        policy = self._table.policy
        self._table.check(state)
        choices, strata = saved.number(state, "choices", policy, least=0.0), saved.section(state, "strata", policy)
        if self._index is not None:
            before = self._index.state()
            self._index.restore(state, policy)
        try:
            self._strata.restore(strata, policy)
        except PolicyFileError:
            if self._index is not None:
                self._index.restore(before, policy)
            raise
        self._choices = int(choices)


def _cell(arm: Arm, exits: int, thresholds: Sequence[float]) -> int:
    """Where the estimates of an arm are.  Split K earns what shipping all from exit 0 does, and ships nothing."""
    row = 0 if arm.split == exits else arm.split
    column = 0 if row == 0 else thresholds.index(arm.threshold)
    return row * len(thresholds) + column
