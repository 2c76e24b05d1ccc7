"""AdaEE: a bandit over the threshold of one exit (Pacheco et al., ICC 2023), the forerunner of UCBEE.

Formulas: the authors' code, pachecobeto95/mab_early_exits and adaptive_early_exit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bandits import params
from bandits.arms import ArmPolicy, ArmTable
from bandits.indices.build import Choice, policy_bandit
from bandits.policy import Policy
from bandits.rewards import UcbeeReward
from bandits.ucbee import THRESHOLDS, threshold_arms
from split_core.objective import Objective


def make_adaee(
    *,
    exits: int,
    rng: np.random.Generator,
    objective: Objective,
    split: int = 1,
    thresholds: Sequence[float] = THRESHOLDS,
    c: float = 0.1,
    reward: str = "plain",
    index: Choice = "ucb1",
    forget: Choice = "none",
) -> Policy:
    """Threshold arms at `split`; only the played one is paid: 0 answered locally, C_L - C_i - mu * ship_i shipped.

    Args:
        exits: K, at least 2.
        rng: for an index that draws.
        objective: gives mu; published with mu = 1 and an offload that costs a constant o.
        split: where the device stops, 1..K-1.
        thresholds: the arms.
        c: exploration weight, published with .05 to 2; with 1 and more it explores for tens of thousands of frames.
        reward: "plain" as published; "clip" counts no gain below 0, as its successor UCBEE does.
        index: which bandit of `bandits.indices`; see `bandits.ucbee.make_ucbee`.
        forget: none, as published; or discount, window, change.

    Raises:
        ConfigError: a parameter is out of its range.
    """
    arms = threshold_arms("adaee", exits, split, thresholds)
    clip = params.one_of("reward", reward, ("plain", "clip")) == "clip"
    bandit = policy_bandit(len(arms), index=index, forget=forget, c=c, rng=rng)
    pays = UcbeeReward(arms, mu=objective.mu, clip=clip, side=False)
    return ArmPolicy(ArmTable("adaee", arms, exits=exits), bandit, pays, heads="played")
