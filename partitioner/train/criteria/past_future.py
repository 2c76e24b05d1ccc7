"""Trains `split_core.criteria.past_future`: the imitated future of Liao et al., and the head on both."""

from __future__ import annotations

import numpy as np
import torch

from partitioner.heads.trainable import Tensor
from partitioner.train.criteria.base import Lesson, Taught, floored
from partitioner.train.criteria.descent import Tensors, descend
from partitioner.train.schedule import Rows
from split_core.tensors import Array

Spread = tuple[Array, Array]  # mean and deviation, (K - 1, D) each


class PastFutureTrainer:
    """Loss (CE of the head on [past; imitated future] + 1 - cos(imitated, real future)) / 2, mean over exits 1..K-1.

    Liao et al. 2021.  Ours, see the criterion: past is the mean of the states so far, future the mean of the later ones
    (at the last exit that has a state, that state itself), imitated by one linear map of the latest.  The cosine is
    of standardised states, or the part that all samples share would be all that is imitated.
    """

    def fit(self, lesson: Lesson) -> Taught:
        """See `Trainer`; states are standardised to learn on, and the arrays are for states as they are."""
        spreads = [_spread(lesson, place) for place in range(3)]
        tensors_of = [tuple(torch.from_numpy(one) for one in spread) for spread in spreads]
        labels, inner = torch.from_numpy(lesson.traces.labels), lesson.exits - 1

        def loss(tensors: Tensors, rows: Rows) -> Tensor:
            latest, past, future = (
                (torch.from_numpy(one) - mean) / scale
                for one, (mean, scale) in zip(_seen(lesson, rows), tensors_of, strict=True)
            )
            imitated = torch.einsum("kij,nkj->nki", tensors["imitation"], latest) + tensors["imitation_bias"]
            both = torch.cat([past, imitated], 2)
            logits = torch.einsum("kcj,nkj->nkc", tensors["head"], both) + tensors["head_bias"]
            right = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[rows].repeat_interleave(inner))
            return (right + (1.0 - torch.cosine_similarity(imitated, future, 2)).mean()) / 2

        found, epochs = descend(_start(lesson), loss, lesson)
        return Taught(lesson.marked(_folded(found, *spreads)), epochs)


def _seen(lesson: Lesson, rows: Rows) -> tuple[Array, Array, Array]:
    """(n, K - 1, D) each: the latest state, the mean of those so far, the mean of those to come."""
    latest = lesson.states(rows)
    inner = latest.shape[1]
    past = latest.cumsum(1) / np.arange(1, inner + 1, dtype=np.float32)[:, None]
    later = latest[:, ::-1].cumsum(1)[:, ::-1]
    future = latest.copy()
    future[:, :-1] = later[:, 1:] / np.arange(inner - 1, 0, -1, dtype=np.float32)[:, None]
    return latest, past, future


def _spread(lesson: Lesson, place: int) -> Spread:
    """Of one of the three that `_seen` gives, on the rows to learn from."""
    total = squares = np.zeros((len(lesson.widths), max(lesson.widths)))
    for begin in range(0, len(lesson.learn), 4096):
        chosen = _seen(lesson, lesson.learn[begin : begin + 4096])[place].astype(np.float64)
        total, squares = total + chosen.sum(0), squares + (chosen**2).sum(0)
    mean = total / len(lesson.learn)
    scale = floored(np.sqrt(np.maximum(squares / len(lesson.learn) - mean**2, 0.0)))
    return mean.astype(np.float32), scale.astype(np.float32)


def _start(lesson: Lesson) -> dict[str, Array]:
    """The latest state stands for the future, and the head knows nothing."""
    inner, width, classes = lesson.exits - 1, max(lesson.widths), lesson.classes
    return {
        "imitation": np.broadcast_to(np.eye(width), (inner, width, width)).copy(),
        "imitation_bias": np.zeros((inner, width)),
        "head": np.zeros((inner, classes, 2 * width)),
        "head_bias": np.zeros((inner, classes)),
    }


def _folded(found: dict[str, Array], latest: Spread, past: Spread, future: Spread) -> dict[str, Array]:
    """The same for states as they are."""
    (mean, scale), (past_mean, past_scale), (later_mean, later_scale) = latest, past, future
    imitation = later_scale[:, :, None] * found["imitation"] / scale[:, None, :]
    imitation_bias = later_scale * found["imitation_bias"] + later_mean - np.einsum("kij,kj->ki", imitation, mean)
    head = found["head"] / np.concatenate([past_scale, later_scale], 1)[:, None, :]
    head_bias = found["head_bias"] - np.einsum("kcj,kj->kc", head, np.concatenate([past_mean, later_mean], 1))
    return {"imitation": imitation, "imitation_bias": imitation_bias, "head": head, "head_bias": head_bias}
