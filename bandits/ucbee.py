"""UCBEE: a bandit over the threshold of one exit (Pacheco et al., IEEE TNSM 22(1), 2025).

`bandits.published.adaee` is its forerunner.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bandits import params
from bandits.arms import ArmPolicy, ArmTable
from bandits.indices.build import Choice, policy_bandit
from bandits.policy import Arm, Policy
from bandits.rewards import UcbeeReward
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
    reward: str = "clip",
    side: str = "below",
    index: Choice = "ucb1",
    forget: Choice = "none",
) -> Policy:
    """Threshold arms at `split`, with side observations for all thresholds up to the played one.

    As published: `c: 1, side: none`, with mu = 1 and an offload that costs a constant o.

    Args:
        exits: K, at least 2.
        rng: for an index that draws.
        objective: gives mu.
        split: where the device stops, 1..K-1.
        thresholds: the arms.
        c: exploration weight of ucb1.  Published with 1, which is far too much for rewards that differ by
            .0001-.003: the regret after 10,000 frames is then two thirds of a random arm's.
        reward: "clip", a verdict less sure than the exit gains 0; "plain", it gains less than 0.
        side: "below", a frame pays all thresholds up to the played one; "none", the played one only.
        index: which bandit of `bandits.indices`.  One with parameters, its own `c` for one: {name: ucb_tuned, c: 1}.
        forget: none, as published; or discount, window, change, in the same way.

    Raises:
        ConfigError: a parameter is out of its range.
    """
    arms = threshold_arms("ucbee", exits, split, thresholds)
    pays = UcbeeReward(
        arms,
        mu=objective.mu,
        clip=params.one_of("reward", reward, ("clip", "plain")) == "clip",
        side=params.one_of("side", side, ("below", "none")) == "below",
    )
    bandit = policy_bandit(len(arms), index=index, forget=forget, c=c, rng=rng)
    return ArmPolicy(ArmTable("ucbee", arms, exits=exits), bandit, pays, heads="played")


def threshold_arms(policy: str, exits: int, split: int, thresholds: Sequence[float]) -> list[Arm]:
    """Arms of all `thresholds` at one split before the last exit.

    Raises:
        ConfigError: `split` or `thresholds` is out of its range, or there is no such split.
    """
    if exits < 2:
        raise ConfigError(f"{policy} needs an exit before the final one; this network has {exits} exit")
    where = params.whole("split", split, 1, exits - 1)
    return [Arm(where, alpha) for alpha in params.thresholds("thresholds", thresholds)]
