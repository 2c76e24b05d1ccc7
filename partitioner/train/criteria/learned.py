"""Trains `split_core.criteria.learned`: BERxiT's learning to exit."""

from __future__ import annotations

import numpy as np
import torch

from partitioner.heads.trainable import Tensor
from partitioner.train.criteria.base import Lesson, Taught, floored
from partitioner.train.criteria.descent import Tensors, descend
from partitioner.train.schedule import Rows


class LearnedTrainer:
    """Loss (u_k - (1 - correct_k))^2, mean over exits 1..K-1 and samples, with u_k = sigmoid(w . h_k + b).

    Xin et al. 2021 (BERxiT), section 3.3 of the paper.  w and b are shared by all exits, as published, where their
    states are equally wide; else each exit has its own.
    """

    def fit(self, lesson: Lesson) -> Taught:
        """See `Trainer`; states are standardised to learn on, and the arrays are for states as they are."""
        shared = len(set(lesson.widths)) == 1
        mean, scale = _pooled_spread(lesson) if shared else lesson.spread()
        wrong = torch.from_numpy(~lesson.correct[:, :-1]).float()
        mean_t, scale_t = torch.from_numpy(mean), torch.from_numpy(scale)

        def loss(tensors: Tensors, rows: Rows) -> Tensor:
            states = (torch.from_numpy(lesson.states(rows)) - mean_t) / scale_t
            uncertainty = torch.sigmoid((states * tensors["weight"]).sum(2) + tensors["bias"])
            return ((uncertainty - wrong[rows]) ** 2).mean()

        rows = () if shared else (len(lesson.widths),)
        start = {"weight": np.zeros((*rows, max(lesson.widths))), "bias": np.zeros(rows)}
        found, epochs = descend(start, loss, lesson)
        if shared:
            mean, scale = mean[0], scale[0]
        weight = found["weight"] / scale
        arrays = {"weight": weight, "bias": found["bias"] - (weight * mean).sum(-1)}
        return Taught(lesson.marked(arrays), epochs)


def _pooled_spread(lesson: Lesson) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of all exits' states together, once per exit."""
    means, scales = lesson.spread()
    mean = means.mean(0)
    scale = floored(np.sqrt((scales**2 + (means - mean) ** 2).mean(0)))
    return tuple(np.broadcast_to(one.astype(np.float32), means.shape).copy() for one in (mean, scale))  # type: ignore[return-value]
