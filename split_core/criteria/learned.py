"""Learning to exit: a linear layer on the hidden state says how likely the answer is wrong (BERxiT)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from split_core.criteria.arrays import array
from split_core.criteria.base import HIDDEN, LOGITS, WEIGHTS, Judgement, Seen
from split_core.errors import ConfigError
from split_core.tensors import Array


def sigmoid(value: float) -> float:
    """1 / (1 + e^-value), without overflow."""
    return 0.5 * (1.0 + math.tanh(0.5 * value))


class Learned:
    """Score 1 - u, with u = sigmoid(w . h + b), the uncertainty of the answer; w and b are shared by all exits.

    Xin et al. 2021 (BERxiT): u is trained by squared error towards 1 - correct, which is no part of this file; exit
    when u < threshold, that is, when the score is above 1 - threshold.
    An exit without a hidden state is judged by its largest probability.

    Args:
        arrays: `weight` (D,), `bias` ().

    Raises:
        ConfigError: arrays that are missing or of another shape; when used, hidden states of another width.
    """

    needs: ClassVar[frozenset[str]] = frozenset({LOGITS, HIDDEN, WEIGHTS})
    published = "exit when the uncertainty u = sigmoid(w . h + b) < threshold; lower is surer; the score is 1 - u"

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self._weight = array(arrays, "weight", None)
        self._bias = float(array(arrays, "bias"))

    def __call__(self, seen: Sequence[Seen]) -> Judgement:
        """See `Criterion`."""
        latest = seen[-1]
        if latest.hidden is None:
            return Judgement(float(latest.probabilities.max()), latest.probabilities)
        if latest.hidden.shape != self._weight.shape:
            raise ConfigError(
                f"hidden state of exit {latest.exit} is {latest.hidden.size} wide, the arrays are for "
                f"{self._weight.size}; train the criterion for this network"
            )
        uncertainty = sigmoid(float(np.dot(self._weight, latest.hidden)) + self._bias)
        return Judgement(1.0 - uncertainty, latest.probabilities)
