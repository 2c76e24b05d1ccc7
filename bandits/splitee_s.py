"""SplitEE-S: SplitEE that reads every exit on the way and pays every split up to the played one."""

from __future__ import annotations

import numpy as np

from bandits import params
from bandits.arms import ArmPolicy, ArmTable
from bandits.indices.build import Choice, policy_bandit
from bandits.policy import Arm, Policy
from bandits.rewards import SplitEESReward
from split_core.objective import Objective


def make_splitee_s(
    *,
    exits: int,
    rng: np.random.Generator,
    objective: Objective,
    threshold: float = 0.85,
    c: float = 1.0,
    index: Choice = "ucb1",
    forget: Choice = "none",
) -> Policy:
    """Arms 1..K at `threshold`; causal, with the final confidence imputed where the cloud was not asked.

    Args:
        exits: K.
        rng: for an index that draws.
        objective: gives mu.
        threshold: see `make_splitee`.
        c: exploration weight of ucb1; 1 as published.
        index: which bandit of `bandits.indices`.  One with parameters, its own `c` for one: {name: ucb_tuned, c: 1}.
        forget: none, as published; or discount, window, change, in the same way.

    Raises:
        ConfigError: a parameter is out of its range.
    """
    alpha = params.number("threshold", threshold, 0.0, 1.0)
    arms = [Arm(split, alpha) for split in range(1, exits + 1)]
    table = ArmTable("splitee_s", arms, exits=exits)
    bandit = policy_bandit(len(arms), index=index, forget=forget, c=c, rng=rng)
    return ArmPolicy(table, bandit, SplitEESReward(arms, mu=objective.mu), heads="all")
