"""Geometric ensemble of all exits so far (ZTW)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from split_core.criteria.arrays import array
from split_core.criteria.base import EARLIER, LOGITS, Judgement, Seen
from split_core.tensors import Array, FloatArray


class GeometricEnsemble:
    """Score max_c q_i(c), with q_i(c) proportional to exp(mean_(j<=i) e^w_ij ln p_j(c) + b_ic).

    Wolczyk et al. 2021 (Zero Time Waste): exit when max_c q_i > threshold, answering with q_i.  w and b are trained
    with the heads frozen (`offramp train --criterion geometric_ensemble`); without arrays w = b = 0, the plain
    geometric mean.  The mean is over the exits that were read.

    Args:
        exits: K.
        arrays: None, or `log_weights` (K, K), w with row i and column j, and `bias` (K, C).

    Raises:
        ConfigError: arrays that are missing or of another shape.
    """

    needs: ClassVar[frozenset[str]] = frozenset({LOGITS, EARLIER})
    published = "exit when the ensemble's max_c q(c) > threshold; higher is surer; the score is that maximum"

    def __init__(self, exits: int, arrays: Mapping[str, Array] | None = None) -> None:
        self._weights, self._bias = np.ones((exits, exits)), np.zeros((exits, 1))
        if arrays is not None:
            self._weights = np.exp(np.minimum(array(arrays, "log_weights", exits, exits), 50.0))
            self._bias = array(arrays, "bias", exits, None)

    def __call__(self, seen: Sequence[Seen]) -> Judgement:
        """See `Criterion`."""
        row = seen[-1].exit - 1
        # No ln 0: a probability that underflows is as good as the smallest number.
        logs = np.log(np.maximum([one.probabilities for one in seen], np.finfo(np.float64).tiny))
        weights = self._weights[row, [one.exit - 1 for one in seen]]
        mixed: FloatArray = weights @ logs / len(seen) + self._bias[row]
        powers = np.exp(mixed - mixed.max())
        probabilities = powers / powers.sum()
        return Judgement(float(probabilities.max()), probabilities)
