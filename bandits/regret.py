"""What every fixed arm would have earned over a whole trace; how far a run fell short is in `bandits.hindsight`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bandits.arms import joint_arms
from bandits.grid import THRESHOLDS
from bandits.path_model import PathModel
from bandits.path_table import PathTable, path_costs, with_fallback
from bandits.policy import Arm
from split_core.tensors import FloatArray
from split_core.traces import Traces


def default_arms(model: PathModel) -> list[Arm]:
    """The joint grid that regret is measured against: every split allowed, the grid's thresholds."""
    return joint_arms(model.exits, model.splits, THRESHOLDS)


def arm_means(traces: Traces, arms: Sequence[Arm], model: PathModel) -> FloatArray:
    """Mean reward of always playing each arm, reading only the exit at its split.

    Deadlines and the spread of the link are in it: shipping is worth the verdict as often as the residuals let
    it come in time, and the local reading otherwise.

    Args:
        traces: (N, K) readings.
        arms: with splits that `model` allows.
        model: costs.

    Returns:
        (A,) float64.
    """
    return RewardTable(traces, model).means(arms)


def best_fixed_arm(traces: Traces, model: PathModel) -> tuple[Arm, float]:
    """The arm of `default_arms` with the highest mean reward in hindsight, and that reward."""
    arms = default_arms(model)
    means = arm_means(traces, arms, model)
    return arms[int(means.argmax())], float(means.max())


class RewardTable:
    """Expected reward of every way to an answer, for every frame.

    Args:
        traces: (N, K) readings.
        model: costs.
        cloud: False prices an outage: an arm that could ship runs to the end instead.

    Attributes:
        paths: the rewards, frame by frame.

    Raises:
        ProfileError: the trace has another number of exits than `model`.
        TraceError: the trace is empty.
    """

    def __init__(self, traces: Traces, model: PathModel, *, cloud: bool = True) -> None:
        costs = path_costs(traces, model).priced(model.objective.mu)
        self.paths = PathTable(
            traces.confidence,
            local=traces.confidence - costs.local,
            shipped=with_fallback(traces.confidence, costs.in_time) - costs.shipped,
            forced=traces.confidence[:, -1] - costs.forced,
            cloud=np.full(traces.samples, cloud),
        )

    def means(self, arms: Sequence[Arm]) -> FloatArray:
        """(A,) mean reward of each arm."""
        return self.paths.means(arms)

    def of(self, arm: Arm) -> FloatArray:
        """(N,) expected reward of `arm` on every frame."""
        return self.paths.of(arm)

    def oracle(self) -> FloatArray:
        """(N,) reward of the best path of every single frame, which nobody can know."""
        return best_paths(self.paths)


def best_paths(rewards: PathTable) -> FloatArray:
    """(N,) the highest reward on every frame; without a cloud, of what the device can do."""
    local: FloatArray = rewards.local.max(axis=1)
    return np.where(rewards.cloud, np.maximum(local, rewards.shipped.max(axis=1)), local)
