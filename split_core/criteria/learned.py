"""Learning to exit: a linear layer on the hidden state says how likely the answer is wrong (BERxiT)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from split_core.criteria.arrays import array
from split_core.criteria.base import HIDDEN, LOGITS, WEIGHTS, Judgement, Seen
from split_core.criteria.widths import Widths
from split_core.tensors import Array


def sigmoid(value: float) -> float:
    """1 / (1 + e^-value), without overflow."""
    return 0.5 * (1.0 + math.tanh(0.5 * value))


class Learned:
    """Score 1 - u, with u = sigmoid(w . h + b), the uncertainty of the answer.

    Xin et al. 2021 (BERxiT): w and b are shared by all exits, u is trained by squared error towards 1 - correct
    (`offramp train --criterion learned`); exit when u < threshold, that is, when the score is above 1 - threshold.
    Ours: exits whose states differ in width, as in a CNN, have w and b of their own.  An exit without a hidden state
    is judged by its largest probability.

    Args:
        exits: K.
        arrays: `weight` (D,), `bias` (); or `weight` (K - 1, D), `bias` (K - 1,) and, for narrower states, `widths`.

    Raises:
        ConfigError: arrays that are missing or of another shape; when used, hidden states of another width.
    """

    needs: ClassVar[frozenset[str]] = frozenset({LOGITS, HIDDEN, WEIGHTS})
    published = "exit when the uncertainty u = sigmoid(w . h + b) < threshold; lower is surer; the score is 1 - u"

    def __init__(self, exits: int, arrays: Mapping[str, Array]) -> None:
        own = "weight" in arrays and arrays["weight"].ndim == 2
        rows = (exits - 1,) if own else ()
        weight, bias = array(arrays, "weight", *rows, None), array(arrays, "bias", *rows)
        self._widths = Widths(arrays, exits, weight.shape[-1])
        self._weight = np.broadcast_to(weight, (exits - 1, weight.shape[-1]))
        self._bias = np.broadcast_to(bias, (exits - 1,)).tolist()

    def __call__(self, seen: Sequence[Seen]) -> Judgement:
        """See `Criterion`."""
        latest = seen[-1]
        if latest.hidden is None:
            return Judgement(float(latest.probabilities.max()), latest.probabilities)
        hidden, row = self._widths.filled(latest.exit, latest.hidden), latest.exit - 1
        uncertainty = sigmoid(float(np.dot(self._weight[row], hidden)) + self._bias[row])
        return Judgement(1.0 - uncertainty, latest.probabilities)
