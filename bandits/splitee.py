"""SplitEE: a bandit over splits with one fixed threshold (Bajpai et al., arXiv 2309.09195)."""

from __future__ import annotations

import numpy as np

from bandits import params
from bandits.arms import ArmPolicy, ArmTable
from bandits.indices.build import Choice, policy_bandit
from bandits.policy import Arm, Policy
from bandits.rewards import SplitEEReward
from split_core.objective import Objective


def make_splitee(
    *,
    exits: int,
    rng: np.random.Generator,
    objective: Objective,
    threshold: float = 0.85,
    c: float = 1.0,
    index: Choice = "ucb1",
    forget: Choice = "none",
) -> Policy:
    """Arms 1..K at `threshold`; only the head at the split is read, only the played arm is paid.

    Args:
        exits: K.
        rng: for an index that draws.
        objective: gives mu.
        threshold: published per data set, .7 to .85; with .7 the method loses more than 2 points of accuracy on
            some networks, because its reward is confidence.
        c: exploration weight of ucb1; 1 as published.
        index: which bandit of `bandits.indices`.  One with parameters, its own `c` for one: {name: ucb_tuned, c: 1}.
        forget: none, as published; or discount, window, change, in the same way.

    Raises:
        ConfigError: a parameter is out of its range.
    """
    alpha = params.number("threshold", threshold, 0.0, 1.0)
    arms = [Arm(split, alpha) for split in range(1, exits + 1)]
    table = ArmTable("splitee", arms, exits=exits)
    bandit = policy_bandit(len(arms), index=index, forget=forget, c=c, rng=rng)
    return ArmPolicy(table, bandit, SplitEEReward(mu=objective.mu), heads="played")
