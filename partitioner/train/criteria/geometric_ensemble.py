"""Trains `split_core.criteria.geometric_ensemble`: the ensembles of Zero Time Waste."""

from __future__ import annotations

import numpy as np
import torch

from partitioner.heads.trainable import Tensor
from partitioner.train.criteria.base import Lesson, Taught
from partitioner.train.criteria.descent import Tensors, descend
from partitioner.train.schedule import Rows


class GeometricEnsembleTrainer:
    """Cross entropy of q_i, mean over exits i; q_i(c) is proportional to exp(mean_(j<=i) e^w_ij ln p_j(c) + b_ic).

    Wolczyk et al. 2021 (Zero Time Waste), its second phase: heads stay as they are.  It begins at w = b = 0, the
    plain geometric mean.  Its first phase, heads that take the logits of the one before, is in `cascade`.
    """

    def fit(self, lesson: Lesson) -> Taught:
        """See `Trainer`."""
        exits = lesson.exits
        logs = torch.log_softmax(torch.from_numpy(lesson.traces.logits).float(), 2)
        labels = torch.from_numpy(lesson.traces.labels)
        shares = torch.tril(torch.ones(exits, exits)) / torch.arange(1, exits + 1)[:, None]

        def loss(tensors: Tensors, rows: Rows) -> Tensor:
            weights = torch.exp(tensors["log_weights"]) * shares
            mixed = torch.einsum("ij,njc->nic", weights, logs[rows]) + tensors["bias"]
            return torch.nn.functional.cross_entropy(mixed.flatten(0, 1), labels[rows].repeat_interleave(exits))

        start = {"log_weights": np.zeros((exits, exits)), "bias": np.zeros((exits, lesson.classes))}
        found, epochs = descend(start, loss, lesson)
        return Taught({name: value.astype(np.float64) for name, value in found.items()}, epochs)
