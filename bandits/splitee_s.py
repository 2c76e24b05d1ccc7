"""SplitEE-S: SplitEE that reads every exit on the way and pays every split up to the played one."""

from __future__ import annotations

import numpy as np

from bandits import params
from bandits.arms import ArmPolicy, ArmTable
from bandits.policy import Arm, Policy
from bandits.rewards import SplitEESReward
from bandits.ucb import Ucb
from split_core.objective import Objective


def make_splitee_s(
    *, exits: int, rng: np.random.Generator, objective: Objective, threshold: float = 0.85, c: float = 1.0
) -> Policy:
    """Arms 1..K at `threshold`; causal, with the final confidence imputed where the cloud was not asked.

    Args:
        exits: K.
        rng: not used, the rule is deterministic.
        objective: gives mu.
        threshold: see `make_splitee`.
        c: exploration weight; 1 as published.

    Raises:
        ConfigError: a parameter is out of its range.
    """
    alpha, c = params.number("threshold", threshold, 0.0, 1.0), params.number("c", c, 0.0, 100.0)
    arms = [Arm(split, alpha) for split in range(1, exits + 1)]
    table = ArmTable("splitee_s", arms, exits=exits)
    return ArmPolicy(table, Ucb(len(arms), c=c), SplitEESReward(arms, mu=objective.mu), heads="all")
