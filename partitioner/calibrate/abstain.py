"""Conformal sets from calibration samples: which quantiles a policy file holds, and what coverage they reach."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from split_core.conformal import ConformalSets, fewest_samples, quantile
from split_core.errors import DataError
from split_core.policy_guard import AbstainSection
from split_core.readings import Reader
from split_core.tensors import FloatArray
from split_core.traces import Traces

DIGITS = 6  # of a quantile in the file; rounded up, so that sets only grow


def probabilities_of(traces: Traces, reader: Reader) -> FloatArray:
    """(N, K, C) what answers are made of, as the device will see it; 0 for exits that are broken."""
    none = np.zeros(traces.logits.shape[2])
    rows = traces.shown.read(reader)
    return np.array([[none if one.probabilities is None else one.probabilities for one in row] for row in rows])


def quantiles(
    probabilities: FloatArray, labels: NDArray[np.int64], alpha: float, *, per_class: bool
) -> tuple[tuple[float, ...], ...]:
    """Per exit, the quantile of 1 - p of the true class.

    Args:
        probabilities: (n, K, C) of samples that nothing was fitted on.
        labels: (n,).
        alpha: chance that the true class is outside the set.
        per_class: one quantile per class (Mondrian), so that coverage holds within each of them; a class with too
            few samples has the common one.
    """
    _, exits, classes = probabilities.shape
    scores = 1.0 - np.take_along_axis(probabilities, labels[:, None, None], axis=2)[:, :, 0]
    found = []
    for k in range(exits):
        common = quantile(scores[:, k], alpha)
        own = [quantile(scores[labels == label, k], alpha) for label in range(classes)] if per_class else [common]
        found.append(tuple(_written(common if math.isinf(one) else one) for one in own))
    return tuple(found)


def _written(value: float) -> float:
    return float(math.ceil(value * 10**DIGITS) / 10**DIGITS)


def unsure(sets: ConformalSets, probabilities: FloatArray) -> NDArray[np.bool_]:
    """(N, K) is the set anything else than the likeliest class alone?"""
    inside = np.stack([sets.members(k, probabilities[:, k - 1]) for k in range(1, probabilities.shape[1] + 1)], axis=1)
    likeliest = np.take_along_axis(inside, probabilities.argmax(axis=2)[:, :, None], axis=2)[:, :, 0]
    result: NDArray[np.bool_] = ~(likeliest & (inside.sum(axis=2) == 1))
    return result


def abstaining(
    probabilities: FloatArray, labels: NDArray[np.int64], alpha: float, *, per_class: bool
) -> tuple[AbstainSection, ConformalSets]:
    """The section, with quantiles from all samples; and the sets of their first half, with what they reach on the rest.

    Args:
        probabilities: (M, K, C) of samples in random order that nothing was fitted on.
        labels: (M,).
        alpha: chance that the true class is outside the set.
        per_class: see `quantiles`.

    Raises:
        DataError: half of the samples give no quantile; says how many would.
    """
    half = len(labels) // 2
    if half < fewest_samples(alpha):
        raise DataError(
            f"--abstain {alpha:g}: sets are made from a half of the samples and tried on a half of that, {half}; "
            f"give at least {4 * fewest_samples(alpha)}"
        )
    tried = ConformalSets(quantiles(probabilities[:half], labels[:half], alpha, per_class=per_class))
    rest, truth = probabilities[half:], labels[half:]
    covered = [tried.members(k + 1, rest[:, k])[np.arange(len(truth)), truth].mean() for k in range(rest.shape[1])]
    single = 1.0 - unsure(tried, rest).mean(axis=0)
    section = AbstainSection(
        alpha=alpha,
        quantiles=quantiles(probabilities, labels, alpha, per_class=per_class),
        samples=len(labels),
        coverage=tuple(round(float(one), 6) for one in covered),
        single=tuple(round(float(one), 6) for one in single),
    )
    return section, tried
