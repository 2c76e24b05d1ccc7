"""Trains `split_core.criteria.gates`: the gates of JEI-DNN, with the heads as they are."""

from __future__ import annotations

import numpy as np
import torch

from partitioner.heads.trainable import Tensor
from partitioner.train.criteria.base import Lesson, Taught, floored
from partitioner.train.criteria.descent import Tensors, descend
from partitioner.train.schedule import Rows
from split_core.criteria.gates import features
from split_core.params import number
from split_core.readings import softmax
from split_core.tensors import Array, FloatArray

SURE = 1e-12  # no ln 0


class GatesTrainer:
    """Binary cross entropy of gate l towards 0 before l* and 1 from l* on, with l* = argmin_l CE_l + cost * l / K.

    Regol, Chataoui, Coates 2024 (JEI-DNN).  Published with the heads' own loss in turn, and the cost of an exit is its
    share of the operations; here heads stay, and an exit costs its share of the depth.  As in its code the rarer of
    the two targets weighs as much as the other.

    Args:
        cost: lambda, nats of cross entropy that the whole network costs; more leaves earlier.  The default is ours.

    Raises:
        ConfigError: a cost out of its range.
    """

    def __init__(self, cost: float = 0.2) -> None:
        self._cost = number("cost", cost, 0.0, 1e3)

    def fit(self, lesson: Lesson) -> Taught:
        """See `Trainer`; features are standardised to learn on, and the arrays are for features as they are."""
        probabilities = softmax(lesson.traces.logits)
        seen = np.array([[features(one) for one in row[:-1]] for row in probabilities])
        mean, scale = seen[lesson.learn].mean(0), floored(seen[lesson.learn].std(0))
        known = torch.from_numpy((seen - mean) / scale).float()
        wanted = targets(probabilities, lesson.traces.labels, self._cost)
        share = np.clip(wanted[lesson.learn].mean(0), 1e-3, 1.0 - 1e-3)
        target, weight = torch.from_numpy(wanted).float(), torch.from_numpy((1.0 - share) / share).float()

        def loss(tensors: Tensors, rows: Rows) -> Tensor:
            gates = (known[rows] * tensors["weight"]).sum(2) + tensors["bias"]
            return torch.nn.functional.binary_cross_entropy_with_logits(gates, target[rows], pos_weight=weight)

        inner = lesson.exits - 1
        found, epochs = descend({"weight": np.zeros((inner, 4)), "bias": np.zeros(inner)}, loss, lesson)
        folded = found["weight"] / scale
        return Taught({"weight": folded, "bias": found["bias"] - (folded * mean).sum(1)}, epochs)


def targets(probabilities: FloatArray, labels: Array, cost: float) -> FloatArray:
    """(N, K - 1) 1 from the best exit on, 0 before it, from (N, K, C) probabilities and (N,) labels."""
    exits = probabilities.shape[1]
    right = np.take_along_axis(probabilities, labels[:, None, None], axis=2)[:, :, 0]
    losses = -np.log(np.maximum(right, SURE)) + cost * np.arange(1, exits + 1) / exits
    wanted: FloatArray = (np.arange(exits - 1) >= losses.argmin(axis=1)[:, None]).astype(np.float64)
    return wanted
