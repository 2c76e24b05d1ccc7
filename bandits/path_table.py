"""What every way to an answer costs and is worth, on every frame: the ground under regret and loss.

A table is in one unit (reward, or loss), and knows from it what each fixed arm would have come to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bandits.path_model import PathModel, Paths
from bandits.policy import Arm
from split_core.tensors import FloatArray
from split_core.traces import Traces


@dataclass(frozen=True, slots=True)
class PathCosts:
    """Expected costs of the paths that read one exit, in units of the objective.

    Attributes:
        local: (K,) answer at exit 1..K.
        shipped: (N, K) ship after depth 0..K-1; +inf where nothing may be shipped.
        in_time: (N, K) probability that the reply then comes before the deadline.
        forced: run to the last exit, reading all: what an outage makes of an arm that would have shipped.
    """

    local: FloatArray
    shipped: FloatArray
    in_time: FloatArray
    forced: float

    def priced(self, mu: float) -> PathCosts:
        """In units of reward; what is impossible stays so, also at mu = 0."""
        allowed = np.isfinite(self.shipped)
        shipped = np.where(allowed, mu * np.where(allowed, self.shipped, 0.0), np.inf)
        return PathCosts(mu * self.local, shipped, self.in_time, mu * self.forced)


def path_costs(traces: Traces, model: PathModel) -> PathCosts:
    """Price every path; deadlines and the spread of the link are in it.

    Raises:
        ProfileError: the trace has another number of exits than `model`.
        TraceError: the trace is empty.
    """
    paths, weights = model.paths(traces), model.objective
    ready_ms = model.frame_ms + np.asarray(model.device_ms) + np.asarray(model.head_ms)
    in_time, latency_ms = _expected_arrival(ready_ms[:-1], paths, model)
    cost = weights.ms * latency_ms + weights.kb * paths.payload_bytes / 1000.0 + weights.cloud_ms * paths.cloud_ms
    forced_ms = model.frame_ms + model.device_ms[-1] + sum(model.head_ms)
    return PathCosts(weights.ms * ready_ms[1:], np.where(paths.allowed, cost, np.inf), in_time, weights.ms * forced_ms)


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


def with_fallback(per_exit: FloatArray, in_time: FloatArray) -> FloatArray:
    """(N, K) of shipping after depth 0..K-1: the final exit's value, or the device's when the reply is late.

    Without a reading exit 1 is evaluated.
    """
    fallback = per_exit[:, [0, *range(per_exit.shape[1] - 1)]]
    result: FloatArray = in_time * per_exit[:, -1:] + (1.0 - in_time) * fallback
    return result


@dataclass(frozen=True, slots=True)
class PathTable:
    """Rewards or losses of all paths over N frames.

    Attributes:
        confidence: (N, K), what thresholds are compared with.
        local: (N, K) answer at exit 1..K.
        shipped: (N, K) ship after depth 0..K-1; infinitely bad where forbidden.
        forced: (N,) run to the last exit, reading all.
        cloud: (N,) bool; where it is False an arm that could ship is forced.
    """

    confidence: FloatArray
    local: FloatArray
    shipped: FloatArray
    forced: FloatArray
    cloud: NDArray[np.bool_]

    @property
    def exits(self) -> int:
        """K."""
        return int(self.local.shape[1])

    def of(self, arm: Arm) -> FloatArray:
        """(N,) expected outcome of `arm` on every frame."""
        if arm.answers_locally(self.exits):
            return self.local[:, arm.split - 1]
        result = self.shipped[:, arm.split]
        if arm.split:
            sure = self.confidence[:, arm.split - 1] >= arm.threshold
            result = np.where(sure, self.local[:, arm.split - 1], result)
        return np.where(self.cloud, result, self.forced)

    def means(self, arms: Sequence[Arm]) -> FloatArray:
        """(A,) mean of always playing each arm; one sort per split, so that thousands of thresholds are cheap."""
        found = np.empty(len(arms))
        for split in {arm.split for arm in arms}:
            here = [place for place, arm in enumerate(arms) if arm.split == split]
            found[here] = self._at_split(split, [arms[place] for place in here])
        return found / len(self.local)

    def _at_split(self, split: int, arms: Sequence[Arm]) -> FloatArray:
        """(len(arms),) sums over all frames."""
        always = self.local[:, split - 1].sum() if split else 0.0
        if split == self.exits:
            return np.full(len(arms), always)
        shipped = self.shipped[self.cloud, split]
        forced = self.forced[~self.cloud].sum()
        if split == 0:
            return np.full(len(arms), shipped.sum() + forced)
        order = np.argsort(self.confidence[self.cloud, split - 1], kind="stable")
        thresholds = np.array([arm.threshold for arm in arms])
        below = np.searchsorted(self.confidence[self.cloud, split - 1][order], thresholds, side="left")
        local = _sums_before(self.local[self.cloud, split - 1][order])
        sums = local[-1] - local[below] + _sums_before(shipped[order])[below] + forced
        return np.where(thresholds == 0.0, always, sums)

    def rows(self, chosen: slice | NDArray[np.int64]) -> PathTable:
        """The same for some frames only."""
        return PathTable(
            self.confidence[chosen], self.local[chosen], self.shipped[chosen], self.forced[chosen], self.cloud[chosen]
        )


def _sums_before(values: FloatArray) -> FloatArray:
    """(n + 1,) sum of the first 0, 1, .. n."""
    return np.concatenate([[0.0], np.cumsum(values)])


def joined(tables: Sequence[PathTable]) -> PathTable:
    """Tables of the same network, one after the other."""
    return PathTable(
        np.concatenate([table.confidence for table in tables]),
        np.concatenate([table.local for table in tables]),
        np.concatenate([table.shipped for table in tables]),
        np.concatenate([table.forced for table in tables]),
        np.concatenate([table.cloud for table in tables]),
    )
