"""AdaEE-buffer: a threshold bandit per queue length, paid less for the cloud the longer the queue.

Formulas: the authors' code, Div290/Buffer_based_threshold, adaee_schedulers/adaee/adaee_buffer.py.

Deviations.  Their device has a task queue and knows its length; here the queue is the cloud's, and is read off the
price: what shipping costs now beyond the least that it ever cost, in steps of `slot`.  Their code writes
np.max(x, 0), which clips nothing; here the gain is clipped at 0, as their other simulation does.  Their 1e-5 in the
divisors is left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from bandits import params, saved
from bandits.arms import ArmTable, next_action
from bandits.policy import Action, Answer, Arm, Context, Observation, Plan, Policy
from bandits.ucb import Ucb
from bandits.ucbee import threshold_arms
from split_core.objective import Objective
from split_core.readings import Reading

# .50, .51, ..., .99: the authors' example configuration.
THRESHOLDS = tuple(percent / 100 for percent in range(50, 100))


def make_adaee_buffer(
    *,
    exits: int,
    rng: np.random.Generator,
    objective: Objective,
    split: int = 1,
    thresholds: Sequence[float] = THRESHOLDS,
    queues: int = 10,
    slot: float = 10.0,
    price: float = 0.1,
    kappa: float = 0.05,
) -> Policy:
    """Threshold arms at `split`, learned apart for every queue length 0..queues-1.

    Args:
        exits: K, at least 2.
        rng: not used, the rule is deterministic.
        objective: not used: the reward has its own prices.
        split: where the device stops, 1..K-1.
        thresholds: the arms.
        queues: queue lengths that are told apart; a longer queue counts as the longest.
        slot: what one request in the queue adds to the cost of shipping, in units of the objective.
        price: the published mu, confidence per request in the queue.
        kappa: confidence that shipping into an empty queue is granted.

    Raises:
        ConfigError: a parameter is out of its range.
    """
    return AdaEEBuffer(
        threshold_arms("adaee_buffer", exits, split, thresholds),
        exits=exits,
        queues=params.whole("queues", queues, 1, 1000),
        slot=params.number("slot", slot, 1e-9, 1e9),
        price=params.number("price", price, 0.0, 100.0),
        kappa=params.number("kappa", kappa, 0.0, 100.0),
    )


class AdaEEBuffer:
    """Pays max(C_L - C_i, 0) - (price * queue - kappa) shipped and 0 answered locally, to the played arm only.

    Args:
        arms: at one split, by ascending threshold.
        exits: K.
        queues: queue lengths that are told apart.
        slot: cost of one request in the queue.
        price: confidence per request in the queue.
        kappa: confidence granted to shipping.
    """

    def __init__(
        self, arms: Sequence[Arm], *, exits: int, queues: int, slot: float, price: float, kappa: float
    ) -> None:
        self._table = ArmTable("adaee_buffer", arms, exits=exits)
        self._bandits = [Ucb(len(arms), c=math.sqrt(2.0)) for _ in range(queues)]
        self._slot, self._price, self._kappa = slot, price, kappa
        self._least = math.inf  # what shipping cost with the shortest queue so far

    def begin(self, context: Context) -> Plan:
        """Draw the arm for one frame from the bandit of the queue's length; the plan's index holds both."""
        allowed = self._table.allowed(context)
        if not allowed:
            return self._table.forced(context)
        if len(allowed) == 1:
            return self._table.only_choice(context, allowed[0])
        queue = self._queue(context)
        arm = self._bandits[queue].choose(allowed)
        played = self._table.arms[arm]
        return Plan(context, (played.split,), played, queue * len(self._table.arms) + arm)

    def _queue(self, context: Context) -> int:
        ship = float(context.costs.ship[self._table.arms[0].split])
        if not math.isfinite(ship):
            return 0  # only the arm that always answers is allowed
        self._least = min(self._least, ship)
        return min(len(self._bandits) - 1, round((ship - self._least) / self._slot))

    def next(self, plan: Plan, readings: tuple[Reading, ...]) -> Action:
        """See `bandits.arms.next_action`."""
        return next_action(plan, readings)

    def learn(self, observation: Observation) -> None:
        """Pay the arm that was played, with the queue that it was played for."""
        if observation.lost or not observation.plan.learns or observation.plan.arm is None:
            return
        queue, arm = divmod(observation.plan.arm_index, len(self._table.arms))
        reward = 0.0
        if not isinstance(observation.action, Answer):
            assert observation.verdict is not None  # a lost reply never gets here
            gain = observation.verdict.confidence - max(observation.readings[-1].confidence, 0.0)
            reward = max(gain, 0.0) - (self._price * queue - self._kappa)
        self._bandits[queue].update(arm, reward)

    def state(self) -> dict[str, Any]:
        """The arm list and what was learned for every queue length, as JSON types."""
        least = self._least if math.isfinite(self._least) else None
        bandits = {str(queue): bandit.state() for queue, bandit in enumerate(self._bandits)}
        return {**self._table.state(), "queues": len(self._bandits), "least": least, "bandits": bandits}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`, bit-identically.

        Raises:
            PolicyFileError: the state belongs to another policy or another list of arms or queues.
        """
        self._table.check(state)
        policy, count = self._table.policy, len(self._bandits)
        saved.check_same(state, "queues", count, policy)
        least = math.inf if state.get("least", 0) is None else saved.number(state, "least", policy, least=0.0)
        sections = saved.section(state, "bandits", policy)
        restored = [Ucb(len(self._table.arms), c=math.sqrt(2.0)) for _ in range(count)]
        for queue, bandit in enumerate(restored):
            bandit.restore(saved.section(sections, str(queue), policy))
        self._bandits, self._least = restored, least
