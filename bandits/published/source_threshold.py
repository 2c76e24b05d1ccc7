"""The best threshold of labelled source data, kept for ever: the baseline that every learner has to beat.

Where the stream is like the source it is hard to beat; what a learner is worth shows under shift and where costs are
not known beforehand.  `tuned` makes the parameters from a trace of source validation data; `offramp policy
source-threshold` writes them into a policy file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bandits import params
from bandits.arms import ArmPolicy, ArmTable
from bandits.baselines import FirstAllowed
from bandits.loss import Against, ErrorCosts, best_fixed_arm_by_loss
from bandits.path_model import PathModel
from bandits.policy import Arm, Policy
from bandits.rewards import no_rewards
from split_core.errors import ConfigError
from split_core.objective import Objective
from split_core.traces import Traces

# Fine enough that no grid of a learner holds a better one by more than a hundredth.
STEPS = tuple(step / 100.0 for step in range(101))


def make_source_threshold(
    *, exits: int, rng: np.random.Generator, objective: Objective, split: int = 1, threshold: float = 0.85
) -> Policy:
    """One arm for ever, as `tuned` found it.

    Args:
        exits: K.
        rng: not used.
        objective: not used.
        split: where the device stops, 1..K-1.
        threshold: confidence from which it answers.

    Raises:
        ConfigError: a parameter is out of its range.
    """
    arm = Arm(params.whole("split", split, 1, exits - 1), params.number("threshold", threshold, 0.0, 1.0))
    return ArmPolicy(ArmTable("source_threshold", [arm], exits=exits), FirstAllowed(), no_rewards, heads="played")


def tuned(
    source: Traces,
    model: PathModel,
    *,
    splits: Sequence[int] | None = None,
    error_costs: ErrorCosts = 1.0,
    against: Against = "labels",
) -> dict[str, Any]:
    """Parameters of `source_threshold` with the lowest mean loss on `source`.

    Args:
        source: (N, K) readings of source validation data.
        model: costs, of as many exits.
        splits: to choose from, 1..K-1; all that `model` allows unless told.
        error_costs: of a wrong answer, see `bandits.loss.LossTable`.
        against: the labels, as source data has them, or "full" for the full network's answers.

    Raises:
        ConfigError: no split to choose from.
        ProfileError: the trace has another number of exits than `model`.
        TraceError: the trace is empty, or has no labels to tune against.
    """
    inner = range(1, model.exits)
    chosen = [split for split in (model.splits if splits is None else splits) if split in inner]
    if not chosen:
        raise ConfigError(f"a threshold needs a split from 1 to {model.exits - 1} to be at")
    arms = [Arm(split, step) for split in chosen for step in STEPS]
    arm, _ = best_fixed_arm_by_loss(source, model, error_costs, arms=arms, against=against)
    return {"split": arm.split, "threshold": arm.threshold}
