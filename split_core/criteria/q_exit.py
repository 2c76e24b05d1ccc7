"""A learned distribution over exits, left at its quantile (PALBERT)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from split_core.criteria.arrays import array
from split_core.criteria.base import EARLIER, HIDDEN, LOGITS, WEIGHTS, Judgement, Seen
from split_core.criteria.learned import sigmoid
from split_core.criteria.widths import Widths
from split_core.errors import ConfigError
from split_core.tensors import Array


class QExit:
    """Score sum_(j<=i) p_j with p_j = l_j prod_(m<j) (1 - l_m): exit when it is above q, as published 1/2.

    Balagansky, Gavrilov 2022 (PALBERT): l_i = sigmoid(net([h_i; h_(i-1)] + e_i)), where net is three layers with
    tanh between them and e_i belongs to the exit.  The sum is 1 - prod (1 - l_j).  Published with the heads trained
    together; `offramp train --criterion q_exit` leaves them as they are.  Ours: h is pooled over positions, h_0 is
    zero, narrower states are filled with zeros, and the last exit, which has none, is judged by its largest
    probability.

    Args:
        exits: K.
        arrays: `embedding` (K - 1, 2D), `weight_1` (2D, M), `bias_1` (M,), `weight_2` (M, N), `bias_2` (N,),
            `weight_3` (N,), `bias_3` (); for narrower states `widths`.

    Raises:
        ConfigError: arrays that are missing or of another shape; when used, hidden states of another width.
    """

    needs: ClassVar[frozenset[str]] = frozenset({LOGITS, HIDDEN, EARLIER, WEIGHTS})
    published = "exit when sum_(j<=i) p_j > q = 0.5; higher is surer; the score is that sum"

    def __init__(self, exits: int, arrays: Mapping[str, Array]) -> None:
        self._embedding = array(arrays, "embedding", exits - 1, None)
        if self._embedding.shape[1] % 2:
            raise ConfigError(f"array 'embedding': expected an even width, got {self._embedding.shape[1]}")
        self._width = self._embedding.shape[1] // 2
        self._widths = Widths(arrays, exits, self._width)
        self._first = array(arrays, "weight_1", self._embedding.shape[1], None)
        self._first_bias = array(arrays, "bias_1", self._first.shape[1])
        self._second = array(arrays, "weight_2", self._first.shape[1], None)
        self._second_bias = array(arrays, "bias_2", self._second.shape[1])
        self._third = array(arrays, "weight_3", self._second.shape[1])
        self._third_bias = float(array(arrays, "bias_3"))

    def __call__(self, seen: Sequence[Seen]) -> Judgement:
        """See `Criterion`."""
        latest = seen[-1]
        if latest.hidden is None:
            return Judgement(float(latest.probabilities.max()), latest.probabilities)
        before: Array = np.zeros(self._width)
        going_on = 1.0
        for one in seen:
            if one.hidden is not None:
                hidden = self._widths.filled(one.exit, one.hidden)
                going_on *= 1.0 - self._leaving(one.exit, hidden, before)
                before = hidden
        return Judgement(1.0 - going_on, latest.probabilities)

    def _leaving(self, exit: int, hidden: Array, before: Array) -> float:
        both = np.concatenate([hidden, before])
        inner = np.tanh((both + self._embedding[exit - 1]) @ self._first + self._first_bias)
        inner = np.tanh(inner @ self._second + self._second_bias)
        return sigmoid(float(inner @ self._third) + self._third_bias)
