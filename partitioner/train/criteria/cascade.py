"""Trains `split_core.criteria.cascade`: both phases of Zero Time Waste, on heads that stay as they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from partitioner.heads.trainable import Tensor
from partitioner.train.criteria.base import SMALLEST, Lesson, Taught
from partitioner.train.criteria.descent import Tensors, descend_or_stay
from partitioner.train.criteria.geometric_ensemble import GeometricEnsembleTrainer
from partitioner.train.schedule import Rows
from split_core.criteria.cascade import EPSILON


class CascadeTrainer:
    """First the mean over exits k < K of the cross-entropy of z_k, with N(z_(k-1)) taken as given; then the ensemble.

    Wolczyk et al. 2021 (Zero Time Waste); see the criterion for what is ours.  It begins at the exits' own logits, and
    weight decay pulls it back there: A_k = 1 + D_k / s_k is learned as D_k, with s_k the deviation of the logits.
    """

    def fit(self, lesson: Lesson) -> Taught:
        """See `Trainer`; the epochs are those of the cascade, 0 where exits are best left alone."""
        inner, classes = lesson.exits - 1, lesson.classes
        logits = torch.from_numpy(lesson.traces.logits).float()
        labels = torch.from_numpy(lesson.traces.labels)

        scale = logits[lesson.learn, :inner].std(dim=(0, 2)).clamp(min=SMALLEST)[:, None, None]

        def whole(tensors: Tensors) -> Tensors:
            return {**tensors, "own": torch.eye(classes) + tensors["own"] / scale}

        def loss(tensors: Tensors, rows: Rows) -> Tensor:
            made = cascaded(whole(tensors), logits[rows])[:, :inner]
            return torch.nn.functional.cross_entropy(made.flatten(0, 1), labels[rows].repeat_interleave(inner))

        square = (inner, classes, classes)
        start = {"own": np.zeros(square), "before": np.zeros(square), "shift": np.zeros((inner, classes))}
        found, epochs = descend_or_stay(start, loss, lesson)
        tensors = whole({name: torch.from_numpy(value) for name, value in found.items()})
        made = cascaded(tensors, logits).numpy()
        then = GeometricEnsembleTrainer().fit(replace(lesson, traces=replace(lesson.traces, logits=made)))
        return Taught({**{name: value.double().numpy() for name, value in tensors.items()}, **then.arrays}, epochs)


def cascaded(tensors: Tensors, logits: Tensor) -> Tensor:
    """(N, K, C) z of the exits' own logits (N, K, C)."""
    made: list[Tensor] = []
    for k in range(logits.shape[1] - 1):
        here = logits[:, k] @ tensors["own"][k].T + tensors["shift"][k]
        if made:
            before = torch.nn.functional.layer_norm(made[-1].detach(), made[-1].shape[1:], eps=EPSILON)
            here = here + before @ tensors["before"][k].T
        made.append(here)
    return torch.stack([*made, logits[:, -1]], 1)
