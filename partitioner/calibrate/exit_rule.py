"""The exit rule on a trace: answer at the first exit that is sure enough, else at the last one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from split_core.tensors import FloatArray
from split_core.traces import Traces

NEVER = float("inf")  # a threshold that no confidence meets
STEPS = 100  # thresholds of a shared grid

Thresholds = Sequence[float | None]  # one per early exit 1..K-1; None never answers


def exit_of(confidence: FloatArray, thresholds: Thresholds) -> NDArray[np.int64]:
    """(N,) the exit 0..K-1 that answers: the first with confidence >= its threshold, else the last.

    Args:
        confidence: (N, K).
        thresholds: of exits 1..K-1; None never answers.
    """
    if len(thresholds) != confidence.shape[1] - 1:
        raise ValueError(
            f"{confidence.shape[1]} exits take {confidence.shape[1] - 1} thresholds, got {len(thresholds)}"
        )
    asked = np.array([NEVER if one is None else one for one in thresholds], np.float64)
    return first_sure(confidence[:, :-1] >= asked)


def first_sure(sure: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(N,) the first True of each row of (N, K-1), else K-1."""
    with_last = np.concatenate([sure, np.ones((len(sure), 1), np.bool_)], axis=1)
    first: NDArray[np.int64] = with_last.argmax(axis=1)
    return first


def shared_thresholds(confidence: FloatArray, steps: int = STEPS) -> FloatArray:
    """(L,) descending thresholds for all exits together: never first, always last.

    They are quantiles, so they must come from other samples than those that choose among them.  Four digits,
    rounded down: the flat parts of reliability maps must not fall just below the threshold made from them.

    Args:
        confidence: (N, K), the final exit last.
        steps: at most so many between never and always.
    """
    early = confidence[:, :-1]
    inner = np.quantile(early, np.linspace(0.0, 1.0, steps)) if early.size else np.empty(0)
    return np.concatenate([[NEVER], np.unique(np.append(np.floor(1e4 * inner) / 1e4, 0.0))[::-1]])


def exits_by_threshold(confidence: FloatArray, thresholds: FloatArray) -> NDArray[np.int64]:
    """(N, L) the exit 0..K-1 that answers under each shared threshold."""
    early = confidence[:, :-1]
    return np.stack([first_sure(early >= threshold) for threshold in thresholds], axis=1)


def at_exits(values: FloatArray, exits: NDArray[np.int64]) -> FloatArray:
    """(N, L) `values` (N, K) at the exits (N, L): losses per exit become losses per threshold."""
    return np.take_along_axis(values, exits, axis=1)


def mean_cost(exits: NDArray[np.int64], cost: FloatArray) -> FloatArray:
    """(L,) mean of `cost` (K,) over the samples; with cost 1..K the mean depth in exits."""
    mean: FloatArray = cost[exits].mean(axis=0)
    return mean


@dataclass(frozen=True, slots=True)
class ExitRule:
    """Who answers: a threshold per early exit, and others for some of the classes that it may say.

    Attributes:
        thresholds: of exits 1..K-1; None never answers.
        by_class: per early exit, thresholds of predicted classes that have their own.
    """

    thresholds: tuple[float | None, ...]
    by_class: tuple[Mapping[int, float | None], ...] = ()

    def exits(self, traces: Traces) -> NDArray[np.int64]:
        """(N,) the exit 0..K-1 that answers each sample."""
        if not self.by_class:
            return exit_of(traces.confidence, self.thresholds)
        asked = np.array([[NEVER if one is None else one for one in self.thresholds]] * traces.samples, np.float64)
        for k, own in enumerate(self.by_class):
            for label, threshold in own.items():
                asked[traces.prediction[:, k] == label, k] = NEVER if threshold is None else threshold
        return first_sure(traces.confidence[:, :-1] >= asked)

    def at_least(self, least: float) -> ExitRule:
        """The same with no threshold below `least`."""
        by_class = tuple({label: _raised(one, least) for label, one in own.items()} for own in self.by_class)
        return ExitRule(tuple(_raised(one, least) for one in self.thresholds), by_class)

    def params(self) -> dict[str, Any]:
        """Parameters of the policy "cascade", as JSON types."""
        own = {
            str(k): {str(label): one for label, one in classes.items()}
            for k, classes in enumerate(self.by_class, 1)
            if classes
        }
        return {"per_exit": list(self.thresholds), **({"by_class": own} if own else {})}


def _raised(threshold: float | None, least: float) -> float | None:
    return None if threshold is None else max(threshold, least)
