"""What every fixed arm would have earned over a whole trace, and how far a run fell short of the best.

Pseudo-regret, R_T = sum over t of (max_k m_k - m_{a_t}) with m_k the mean reward of arm k over the trace, is the
comparator under which bandits are logarithmic.  The regret against the best path of each single frame, which
the UCBEE figures show, is linear by construction; it is here too, under its own name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bandits.arms import joint_arms
from bandits.grid import THRESHOLDS
from bandits.path_model import PathModel, Paths
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

    Raises:
        ProfileError: the trace has another number of exits than `model`.
        TraceError: the trace is empty.
    """

    def __init__(self, traces: Traces, model: PathModel) -> None:
        self._traces, self._exits = traces, model.exits
        self.shipped = _ship_rewards(traces, model)  # (N, K): ship after depth 0..K-1; -inf where forbidden
        self.local = _local_rewards(traces, model)  # (N, K): answer at exit 1..K

    def means(self, arms: Sequence[Arm]) -> FloatArray:
        """(A,) mean reward of each arm."""
        return np.array([self.of(arm).mean() for arm in arms])

    def of(self, arm: Arm) -> FloatArray:
        """(N,) expected reward of `arm` on every frame."""
        if arm.split == 0:
            return self.shipped[:, 0]
        local = self.local[:, arm.split - 1]
        if arm.answers_locally(self._exits):
            return local
        sure = self._traces.confidence[:, arm.split - 1] >= arm.threshold
        result: FloatArray = np.where(sure, local, self.shipped[:, arm.split])
        return result

    def oracle(self) -> FloatArray:
        """(N,) reward of the best path of every single frame, which nobody can know."""
        result: FloatArray = np.maximum(self.local.max(axis=1), self.shipped.max(axis=1))
        return result


@dataclass(frozen=True, slots=True)
class Regret:
    """Cumulative regret of one run, (N,) each.

    Attributes:
        best_fixed: against the best fixed arm of the joint grid (pseudo-regret).
        oracle: against the best path of every single frame.
    """

    best_fixed: FloatArray
    oracle: FloatArray


def regret_of(
    table: RewardTable, best: float, arms: Sequence[Arm | None], rewards: FloatArray, extra: FloatArray
) -> Regret:
    """Regret of a run, frame by frame.

    Args:
        table: of the frames of the run.
        best: mean reward of the best fixed arm.
        arms: (N,) the arm played; None where the policy has none, which is then charged what it really earned.
        rewards: (N,) what was really earned.
        extra: (N,) reward that reading more exits than the arm's own took away.
    """
    means = {arm: float(table.of(arm).mean()) for arm in set(arms) if arm is not None}
    expected = np.array([reward if arm is None else means[arm] for arm, reward in zip(arms, rewards, strict=True)])
    lost = np.where([arm is None for arm in arms], 0.0, extra)
    return Regret(np.cumsum(best - expected + lost), np.cumsum(table.oracle() - rewards))


def _local_rewards(traces: Traces, model: PathModel) -> FloatArray:
    latency_ms = model.frame_ms + np.asarray(model.device_ms)[1:] + np.asarray(model.head_ms)[1:]
    result: FloatArray = traces.confidence - model.objective.mu * model.objective.ms * latency_ms
    return result


def _ship_rewards(traces: Traces, model: PathModel) -> FloatArray:
    paths, weights = model.paths(traces), model.objective
    ready_ms = model.frame_ms + np.asarray(model.device_ms)[:-1] + np.asarray(model.head_ms)[:-1]
    in_time, latency_ms = _expected_arrival(ready_ms, paths, model)
    fallback = traces.confidence[:, [0, *range(model.exits - 1)]]  # without a reading, exit 1 is evaluated
    value = in_time * traces.confidence[:, -1:] + (1.0 - in_time) * fallback
    cost = weights.ms * latency_ms + weights.kb * paths.payload_bytes / 1000.0 + weights.cloud_ms * paths.cloud_ms
    result: FloatArray = np.where(paths.allowed, value - weights.mu * cost, -np.inf)
    return result


def _expected_arrival(ready_ms: FloatArray, paths: Paths, model: PathModel) -> tuple[FloatArray, FloatArray]:
    """Probability that the reply is in time, and the expected latency, (N, K) each, over the link's residuals."""
    sent_ms = ready_ms + paths.ship_ms
    residuals = np.sort(model.link_residual_ms)
    if model.deadline_ms is None:
        return np.ones_like(sent_ms), sent_ms + residuals.mean()
    late_ms = np.maximum(model.deadline_ms, ready_ms)
    count = np.searchsorted(residuals, model.deadline_ms - sent_ms, side="right")
    sums = np.concatenate([[0.0], np.cumsum(residuals)])
    in_time = count / len(residuals)
    return in_time, in_time * sent_ms + sums[count] / len(residuals) + (1.0 - in_time) * late_ms
