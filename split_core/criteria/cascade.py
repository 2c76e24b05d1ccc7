"""Exits that look at the answer of the one before, and their ensemble (both phases of ZTW)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from split_core.criteria.arrays import array
from split_core.criteria.base import EARLIER, LOGITS, WEIGHTS, Judgement, Seen
from split_core.criteria.geometric_ensemble import GeometricEnsemble
from split_core.tensors import Array, FloatArray

EPSILON = 1e-5  # torch's, beside the variance


class Cascade:
    """Score max_c q_i(c), q_i the geometric ensemble of z_1..z_i, with z_k = A_k l_k + U_k N(z_(k-1)) + b_k.

    l_k are exit k's own logits, N subtracts the mean over classes and divides by the deviation; z_1 has no middle
    term, and z_K = l_K.

    Wolczyk et al. 2021 (Zero Time Waste): head k takes its features beside the normalised logits of head k-1, from
    which no gradient comes.  With a linear head, W h + b + U N(z), that is the head that is there, and U.  Ours
    differs: the head was trained before, and A_k, which begins at 1, can only turn its logits.  So bundles stay
    as they are, and each of their exits answers alone, too.  Trained with every exit read; where one was not,
    the last one that was stands in its place.

    Args:
        exits: K.
        arrays: A `own` and U `before` (K - 1, C, C), b `shift` (K - 1, C); and those of `geometric_ensemble`.

    Raises:
        ConfigError: arrays that are missing or of another shape.
    """

    needs: ClassVar[frozenset[str]] = frozenset({LOGITS, EARLIER, WEIGHTS})
    published = "exit when the ensemble's max_c q(c) > threshold; higher is surer; the score is that maximum"

    def __init__(self, exits: int, arrays: Mapping[str, Array]) -> None:
        self._shift = array(arrays, "shift", exits - 1, None)
        classes = self._shift.shape[1]
        self._own, self._before = (array(arrays, name, exits - 1, classes, classes) for name in ("own", "before"))
        self._ensemble = GeometricEnsemble(exits, arrays)

    def __call__(self, seen: Sequence[Seen]) -> Judgement:
        """See `Criterion`."""
        cascaded: list[Seen] = []
        for one in seen:
            logits = self._logits(one, cascaded[-1].logits if cascaded else None)
            powers = np.exp(logits - logits.max())
            cascaded.append(replace(one, logits=logits, probabilities=powers / powers.sum()))
        return self._ensemble(cascaded)

    def _logits(self, one: Seen, before: FloatArray | None) -> FloatArray:
        row = one.exit - 1
        if row == len(self._shift):
            return one.logits
        logits: FloatArray = self._own[row] @ one.logits + self._shift[row]
        return logits if before is None else logits + self._before[row] @ normalised(before)


def normalised(logits: FloatArray) -> FloatArray:
    """(C,) with mean 0 and variance 1.  Source: Ba et al. 2016, "Layer normalization", without gain and bias."""
    centred = logits - logits.mean()
    result: FloatArray = centred / np.sqrt((centred**2).mean() + EPSILON)
    return result
