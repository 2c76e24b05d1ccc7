"""What a finished frame pays, as (arm index, reward) pairs; nothing that a device cannot know is used.

Costs are those that the frame was planned with (`plan.context.costs`), times mu.  The published settings are
`Costs.published(...)` with mu = 1.  Formulas: SplitEE (arXiv 2309.09195) and UCBEE (IEEE TNSM 22(1), 2025) as
their authors' code computes them, with the deviations named at each rule.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from bandits.policy import Answer, Arm, Observation

Rewards = Iterable[tuple[int, float]]


def no_rewards(observation: Observation) -> Rewards:
    """For policies that do not learn."""
    return ()


def running_costs(observation: Observation) -> list[float]:
    """Segments up to each reading and the heads read until then, in units of the objective."""
    costs = observation.plan.context.costs
    heads, running = 0.0, []
    for reading in observation.readings:
        heads += float(costs.head[reading.exit])
        running.append(float(costs.device[reading.exit]) + heads)
    return running


class SplitEEReward:
    """The played arm only: C_i - mu * cost_i answered locally, C_L - mu * (cost_i + ship_i) shipped.

    Deviation: the authors' reward charges the full lambda * i but their report .8 lambda (i - 1) + lambda;
    here both are the costs of the context.

    Args:
        mu: confidence that one unit of cost is worth.
    """

    def __init__(self, *, mu: float) -> None:
        self._mu = mu

    def __call__(self, observation: Observation) -> Rewards:
        """One pair, for the arm that was played."""
        plan = observation.plan
        reading, cost = observation.readings[-1], running_costs(observation)[-1]
        if isinstance(observation.action, Answer):
            return ((plan.arm_index, reading.confidence - self._mu * cost),)
        assert observation.verdict is not None  # a lost reply never gets here
        cost += float(plan.context.costs.ship[reading.exit])
        return ((plan.arm_index, observation.verdict.confidence - self._mu * cost),)


class SplitEESReward:
    """The played arm and all before it, from the readings on the way.

    r_j = C_j - mu * cost_j where C_j >= alpha or j = K, else C_final - mu * (cost_j + ship_j).

    Deviation: where the frame was answered locally the authors' code still uses the final exit's
    confidence, which a device does not have.  It is imputed with the played exit's: causal, and of the same
    regret within 13 % in nine settings of nine.

    Args:
        arms: in the order of their indices, one per split.
        mu: confidence that one unit of cost is worth.
    """

    def __init__(self, arms: Sequence[Arm], *, mu: float) -> None:
        self._arms = {arm.split: (index, arm.threshold) for index, arm in enumerate(arms)}
        self._mu = mu

    def __call__(self, observation: Observation) -> Rewards:
        """One pair per reading that an arm would have stopped at."""
        costs = observation.plan.context.costs
        final = observation.verdict or observation.readings[-1]
        pairs = []
        for reading, cost in zip(observation.readings, running_costs(observation), strict=True):
            index, alpha = self._arms[reading.exit]
            value = reading.confidence
            if reading.confidence < alpha and reading.exit < costs.exits:
                value = final.confidence
                cost += float(costs.ship[reading.exit])
            # Where nothing may be shipped the arm is not allowed, and an infinite cost would stay for ever.
            if math.isfinite(cost):
                pairs.append((index, value - self._mu * cost))
        return pairs


class UcbeeReward:
    """Threshold arms at one split: 0 answered locally, C_L - C_i - mu * ship_i shipped, the gain clipped at 0 or plain.

    Playing alpha settles every arm up to alpha, always: below it a frame that stayed would have stayed
    (reward 0), and of a frame that was shipped the verdict is known.  Arms above alpha are never touched.

    Deviations: where both exits are below alpha the authors answer with the surer of the two; the runtime
    answers with the verdict.  The clipped reward is the same for both.  They pay the played arm only.

    Args:
        arms: in the order of their indices, all at one split, by ascending threshold.
        mu: confidence that one unit of cost is worth.
        clip: a verdict that is less sure than the exit was gains 0, as in UCBEE, not less, as in AdaEE.
        side: pay the arms below the played one too.
    """

    def __init__(self, arms: Sequence[Arm], *, mu: float, clip: bool = True, side: bool = True) -> None:
        self._thresholds = [arm.threshold for arm in arms]
        self._mu, self._least, self._side = mu, 0.0 if clip else -math.inf, side

    def __call__(self, observation: Observation) -> Rewards:
        """One pair for the played arm and, with side observations, for each one below it."""
        plan, reading = observation.plan, observation.readings[-1]
        played = range(0 if self._side else plan.arm_index, plan.arm_index + 1)
        if isinstance(observation.action, Answer):
            return [(arm, 0.0) for arm in played]
        assert observation.verdict is not None  # a lost reply never gets here
        gain = max(observation.verdict.confidence - max(reading.confidence, 0.0), self._least)
        shipped = gain - self._mu * float(plan.context.costs.ship[reading.exit])
        return [(arm, 0.0 if reading.confidence >= self._thresholds[arm] else shipped) for arm in played]
