"""UCBEE (AdaEE): a bandit over the threshold of one exit (Pacheco et al., IEEE TNSM 22(1), 2025)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bandits import params
from bandits.arms import ArmPolicy, ArmTable
from bandits.policy import Arm, Policy
from bandits.rewards import UcbeeReward
from bandits.ucb import Ucb
from split_core.errors import ConfigError
from split_core.objective import Objective

# The authors' finer grid; 0 always answers, 1 always ships.
THRESHOLDS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def make_ucbee(
    *,
    exits: int,
    rng: np.random.Generator,
    objective: Objective,
    split: int = 1,
    thresholds: Sequence[float] = THRESHOLDS,
    c: float = 0.1,
) -> Policy:
    """Threshold arms at `split`, with side observations for all thresholds up to the played one.

    Args:
        exits: K, at least 2.
        rng: not used, the rule is deterministic.
        objective: gives mu.
        split: where the device stops, 1..K-1.
        thresholds: the arms.
        c: exploration weight.  Published with 1, which is far too much for rewards that differ by
            .0001-.003: the regret after 10,000 frames is then two thirds of a random arm's.

    Raises:
        ConfigError: a parameter is out of its range.
    """
    if exits < 2:
        raise ConfigError(f"ucbee needs an exit before the final one; this network has {exits} exit")
    where = params.whole("split", split, 1, exits - 1)
    arms = [Arm(where, alpha) for alpha in params.thresholds("thresholds", thresholds)]
    table = ArmTable("ucbee", arms, exits=exits)
    bandit = Ucb(len(arms), c=params.number("c", c, 0.0, 100.0))
    return ArmPolicy(table, bandit, UcbeeReward(arms, mu=objective.mu), heads="played")
