"""PCEE: thresholds from one number in units of accuracy.

Per exit, samples are binned by confidence; a bin whose mean accuracy is at least the target answers.  Two
differences to the paper: bins hold only samples that really reach the exit, so that what is promised is what
happens; and the qualifying bins must be the surest ones without a gap, so that one threshold says it all.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from split_core.tensors import FloatArray
from split_core.traces import Traces

BINS = 50
NEIGHBOURS = 150  # of a sample, in order of confidence, that its smoothed accuracy is made of
FEWEST = 20  # samples of a bin

Smoothing = Callable[[FloatArray, NDArray[np.bool_]], FloatArray]


def pcee(traces: Traces, accuracy: float) -> tuple[float | None, ...]:
    """Thresholds of exits 1..K-1 where bins of raw 0/1 correctness reach `accuracy`.

    None where no bin does: such frames go on to the last exit.

    Source: PCEE, performance control in early exiting (2024), plain variant.
    """
    return _thresholds(traces, accuracy, smooth=_as_they_are)


def pcee_ws(traces: Traces, accuracy: float) -> tuple[float | None, ...]:
    """The same with correctness smoothed over neighbours in confidence before it is binned.

    Source: the smoothing variant of the same paper; Gaussian weights over 150 neighbours, two standard
    deviations to each side.  The paper leaves the width of the Gaussian open.
    """
    return _thresholds(traces, accuracy, smooth=smoothed)


PCEE = {"pcee": pcee, "pcee_ws": pcee_ws}


def bin_size(samples: int, accuracy: float) -> int:
    """Samples of a bin: a fiftieth, but no fewer than one mistake among them would be too many of."""
    return max(FEWEST, math.ceil(1.0 / (1.0 - accuracy) - 1e-9), math.ceil(samples / BINS))


def threshold_of(confidence: FloatArray, correct: FloatArray, accuracy: float, size: int) -> float | None:
    """The least confidence of the lowest bin such that it and all above reach `accuracy`.

    Args:
        confidence: (N,).
        correct: (N,) 0/1, or smoothed.
        accuracy: in (0, 1).
        size: samples of a bin at least; equal confidences share a bin, so bins may be larger, and are never empty.

    Returns:
        None when the surest bin does not reach it, or there are too few samples for one.
    """
    order = np.argsort(-confidence, kind="stable")
    confidence, correct = confidence[order], correct[order]
    found, start = None, 0
    while start + size <= len(confidence):
        least = float(confidence[start + size - 1])
        stop = int(np.searchsorted(-confidence, -least, side="right"))  # all that are as sure as the last one
        if correct[start:stop].mean() < accuracy:
            break
        found, start = least, stop
    return found


def smoothed(confidence: FloatArray, correct: NDArray[np.bool_], neighbours: int = NEIGHBOURS) -> FloatArray:
    """(N,) correctness of each sample's neighbours in order of confidence, with Gaussian weights.

    Args:
        confidence: (N,).
        correct: (N,).
        neighbours: so many, half to each side; at the ends there are fewer.
    """
    reach = max(1, min(neighbours, len(confidence)) // 2)
    weights = np.exp(-0.5 * (2.0 * np.arange(-reach, reach + 1) / reach) ** 2)
    order = np.argsort(confidence, kind="stable")
    # Cut to N by hand: "same" would give the longer one's length.
    sums, totals = (
        np.convolve(values, weights)[reach : reach + len(order)]
        for values in (correct[order].astype(np.float64), np.ones(len(order)))
    )
    result = np.empty(len(order))
    result[order] = sums / totals
    return result


def _as_they_are(confidence: FloatArray, correct: NDArray[np.bool_]) -> FloatArray:
    return correct.astype(np.float64)


def _thresholds(traces: Traces, accuracy: float, *, smooth: Smoothing) -> tuple[float | None, ...]:
    size = bin_size(traces.samples, accuracy)
    open_still = np.ones(traces.samples, np.bool_)
    found: list[float | None] = []
    for k in range(traces.exits - 1):
        confidence, correct = traces.confidence[open_still, k], traces.correct[open_still, k]
        threshold = threshold_of(confidence, smooth(confidence, correct), accuracy, size) if len(confidence) else None
        found.append(threshold)
        if threshold is not None:
            open_still &= traces.confidence[:, k] < threshold
    return tuple(found)
