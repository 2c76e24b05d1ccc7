"""I-SplitEE: SplitEE for images under unknown distortion (arXiv 2401.10541, ICC 2024).

Formulas: the authors' code, Div290/I-SplitEE, `ucb_org.py`, as it is meant.

As in SplitEE-S every exit before the split is read and paid.  Deviations: their code pays the played arm once per
exit before it and never when it is exit 1, pays all arms that ever answered with the present frame's reward again,
and uses the final exit's confidence where the frame was answered on the device.  Here every arm up to the
played one is paid once, with the final confidence imputed where nobody knows it (`bandits.rewards.SplitEESReward`).

Their claim, 55 % of the cost saved at a loss of 5 points, is a property of the cost model: with layers at .1, a last
exit at 1.9 and offloading at .5, running to the first exit and always shipping saves 57.9 % and loses nothing.
"""

from __future__ import annotations

import numpy as np

from bandits import params
from bandits.arms import ArmPolicy, ArmTable
from bandits.indices.build import Choice, policy_bandit
from bandits.policy import Arm, Costs, Policy
from bandits.rewards import SplitEESReward
from split_core.objective import Objective

# MobileNetV2: exits behind layers 3, 6, ..., 18 and the whole network of 19.
PAPER = Costs(
    np.array([0.0, 0.3, 0.6, 0.9, 1.2, 1.5, 1.8, 1.9]), np.zeros(8), np.full(7, 0.5), tuple(range(7))
)  # fmt: skip


def make_i_splitee(
    *,
    exits: int,
    rng: np.random.Generator,
    objective: Objective,
    threshold: float = 0.5,
    c: float = 1.0,
    index: Choice = "ucb1",
    forget: Choice = "none",
) -> Policy:
    """Arms 1..K at `threshold`, all exits on the way read and paid.

    Args:
        exits: K; 7 as published, with the costs of `PAPER` and mu = 1.
        rng: for an index that draws.
        objective: gives mu.
        threshold: .5 as published.
        c: exploration weight; 1 as published.
        index: which bandit of `bandits.indices`; see `bandits.ucbee.make_ucbee`.
        forget: none, as published; or discount, window, change.

    Raises:
        ConfigError: a parameter is out of its range.
    """
    alpha = params.number("threshold", threshold, 0.0, 1.0)
    arms = [Arm(split, alpha) for split in range(1, exits + 1)]
    table = ArmTable("i_splitee", arms, exits=exits)
    bandit = policy_bandit(len(arms), index=index, forget=forget, c=c, rng=rng)
    return ArmPolicy(table, bandit, SplitEESReward(arms, mu=objective.mu), heads="all")
