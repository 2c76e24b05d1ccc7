"""Thresholds per predicted class: ours, no paper has them.  A class with few samples keeps the exit's own one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from partitioner.calibrate.exit_rule import ExitRule
from partitioner.calibrate.thresholds import certified_threshold
from split_core.tensors import FloatArray
from split_core.traces import Traces

FEWEST = 50  # samples for which an exit says a class


def per_class(rule: ExitRule, traces: Traces, good: NDArray[np.bool_], *, target: float, risk: float) -> ExitRule:
    """The rule with a threshold of its own for every class that has samples enough.

    It is the smallest at which answers of this class, among the samples that reach the exit, are good in at
    least a share `target`, by an exact bound that is wrong with probability `risk`, per exit and class.

    Args:
        rule: thresholds per exit, kept for classes that an exit says fewer than `FEWEST` times.
        traces: read with maps that were fitted on other samples.
        good: (N, K) is the answer one that is wanted?
        target: in (0, 1).
        risk: in (0, 1).
    """
    open_still = np.ones(traces.samples, np.bool_)
    found: list[dict[int, float | None]] = []
    for k, threshold in enumerate(rule.thresholds):
        said, confidence = traces.prediction[open_still, k], traces.confidence[open_still, k]
        own = of_exit(said, confidence, good[open_still, k], target=target, risk=risk)
        found.append({label: one for label, one in own.items() if one != threshold})
        so_far = ExitRule(rule.thresholds, (*found, *[{}] * (len(rule.thresholds) - k - 1)))
        open_still = so_far.exits(traces) > k
    return ExitRule(rule.thresholds, tuple(found))


def of_exit(
    said: NDArray[np.int64], confidence: FloatArray, good: NDArray[np.bool_], *, target: float, risk: float
) -> dict[int, float | None]:
    """Class to threshold, for classes said often enough; None where no threshold can be promised."""
    labels, counts = np.unique(said, return_counts=True)
    return {
        int(label): certified_threshold(confidence[said == label], good[said == label], target=target, risk=risk)
        for label in labels[counts >= FEWEST]
    }
