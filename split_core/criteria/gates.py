"""Trained gates on four uncertainty measures of each exit (JEI-DNN)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from split_core.criteria.arrays import array
from split_core.criteria.base import EARLIER, LOGITS, WEIGHTS, Judgement, Seen
from split_core.criteria.entropy import entropy_nats
from split_core.criteria.learned import sigmoid
from split_core.criteria.margin import margin
from split_core.tensors import Array, FloatArray


def features(probabilities: FloatArray) -> FloatArray:
    """(4,) p_max, entropy in nats, margin, and the entropy of p^2 made a distribution again."""
    squares = probabilities**2
    powered = entropy_nats(squares / squares.sum())
    return np.array([probabilities.max(), entropy_nats(probabilities), margin(probabilities), powered])


def activations(gates: Sequence[float]) -> list[float]:
    """Chance of leaving at each exit, given that none before it was taken, from raw gate values g in [0, 1].

    p_l = max(0, min(g_l, 1 - sum_(j<l) g_j)), then a_l = clip(p_l / prod_(j<l) (1 - a_j), 0, 1).
    """
    result: list[float] = []
    spent, staying = 0.0, 1.0
    for gate in gates:
        leaving = max(0.0, min(gate, 1.0 - spent))
        result.append(min(1.0, leaving / staying) if staying > 0.0 else 1.0)
        spent, staying = spent + gate, staying * (1.0 - result[-1])
    return result


class Gates:
    """Score a_l, see `activations`: exit at 1/2.

    Regol, Chataoui, Coates 2024 (JEI-DNN), its code's weighted mode: gate l is sigmoid(w_l . f + b_l) on the
    `features` of exit l's own answer; sequentially, exit at the first l with a_l >= 1/2.  (A survey says that it
    decides without looking at the exits; it evaluates every one up to where it leaves.)  Published with heads and
    gates trained in turn; `offramp train --criterion gates` leaves the heads as they are.  The last exit has no gate
    and is judged by its largest probability.

    Args:
        exits: K.
        arrays: `weight` (K - 1, 4), `bias` (K - 1,).

    Raises:
        ConfigError: arrays that are missing or of another shape.
    """

    needs: ClassVar[frozenset[str]] = frozenset({LOGITS, EARLIER, WEIGHTS})
    published = "exit at the first l with a_l >= 1/2; higher is surer; the score is a_l"

    def __init__(self, exits: int, arrays: Mapping[str, Array]) -> None:
        self._exits = exits
        self._weight, self._bias = array(arrays, "weight", exits - 1, 4), array(arrays, "bias", exits - 1)

    def __call__(self, seen: Sequence[Seen]) -> Judgement:
        """See `Criterion`."""
        probabilities = seen[-1].probabilities
        if seen[-1].exit == self._exits:
            return Judgement(float(probabilities.max()), probabilities)
        return Judgement(activations([self._gate(one) for one in seen])[-1], probabilities)

    def _gate(self, one: Seen) -> float:
        row = one.exit - 1
        return sigmoid(float(np.dot(self._weight[row], features(one.probabilities)) + self._bias[row]))
