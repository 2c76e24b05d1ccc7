"""Is a confidence of 0.9 right nine times in ten?  Measured (ECE), and repaired by a monotone map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from split_core.tensors import FloatArray

BINS = 15  # of the expected calibration error, as in Guo et al. 2017
KNOTS = 12  # of a map: with a few hundred samples each, noise does not bend it


def calibration_error(confidence: FloatArray, correct: NDArray[np.bool_], bins: int = BINS) -> float:
    """Expected calibration error: mean over samples of |accuracy - confidence| of their bin.

    Args:
        confidence: (N,) in [0, 1]; N > 0.
        correct: (N,).
        bins: equal in width; 1.0 belongs to the last.

    Source: Naeini et al. 2015; Guo et al. 2017.
    """
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gap = np.bincount(place, weights=confidence - correct, minlength=bins)
    return float(np.abs(gap).sum() / len(confidence))


def never_decreasing(values: FloatArray, weights: FloatArray) -> FloatArray:
    """The closest never-decreasing sequence to `values` in weighted least squares: pool adjacent violators.

    Source: Ayer et al. 1955; O(n).
    """
    blocks: list[tuple[float, float, int]] = []  # mean, weight, length
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        mean, total, length = value, weight, 1
        while blocks and blocks[-1][0] >= mean:
            before, heft, count = blocks.pop()
            mean = (before * heft + mean * total) / (heft + total)
            total, length = total + heft, length + count
        blocks.append((mean, total, length))
    return np.repeat([mean for mean, _, _ in blocks], [length for _, _, length in blocks])


def fit_map(
    scores: FloatArray, correct: NDArray[np.bool_], knots: int = KNOTS
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Knots of a monotone map from score to the probability of being right.

    Samples go by score into groups of about equal size, equal scores always together; each group is a
    knot at its mean score and its accuracy, and pooling makes these monotone.  Between knots the reader
    interpolates; beyond the outer ones it stays flat.  Each group counts half a right and half a wrong
    sample more (Jeffreys), so that no confidence is 0 or 1.

    Args:
        scores: (N,) in [0, 1]; N > 0.
        correct: (N,).
        knots: at most so many.

    Returns:
        Scores and accuracies, neither decreasing.
    """
    borders = np.unique(np.quantile(scores, np.linspace(0.0, 1.0, knots + 1)))[1:-1]
    group = np.searchsorted(borders, scores, side="right")
    sizes = np.bincount(group).astype(np.float64)
    full = sizes > 0.0
    sizes = sizes[full]
    means = np.bincount(group, weights=scores)[full] / sizes
    rates = (np.bincount(group, weights=correct)[full] + 0.5) / (sizes + 1.0)
    return tuple(np.clip(means, 0.0, 1.0).tolist()), tuple(never_decreasing(rates, sizes).tolist())
