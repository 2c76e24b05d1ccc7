"""AdamW in mini-batches on a loss of rows, with early stopping on the rows to measure on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

from partitioner.heads.trainable import Tensor
from partitioner.train.criteria.base import Lesson
from partitioner.train.schedule import Rows
from split_core.errors import DataError
from split_core.tensors import Array

Tensors = dict[str, Tensor]
Loss = Callable[[Tensors, Rows], Tensor]
CHUNK = 2048  # rows that are measured together


def descend(start: Mapping[str, Array], loss: Loss, lesson: Lesson) -> tuple[dict[str, Array], tuple[int, int]]:
    """The arrays with the smallest loss on the rows to measure on, where the start knows nothing.

    Args:
        start: to begin with.
        loss: mean over rows, of tensors named as `start`.
        lesson: rows and schedule; the same for the same seed.

    Returns:
        The arrays in float32; the epoch that they are of, and how many there were.

    Raises:
        DataError: the loss is no number, or no epoch was better than the start.
    """
    best, (found, epochs) = descend_or_stay(start, loss, lesson)
    if not found:
        tensors = {name: torch.from_numpy(value) for name, value in best.items()}
        raise DataError(
            f"learned nothing, validation loss never fell below {_apart(loss, tensors, lesson.measure):.4f}; "
            "give more samples or another --learning-rate"
        )
    return best, (found, epochs)


def descend_or_stay(start: Mapping[str, Array], loss: Loss, lesson: Lesson) -> tuple[dict[str, Array], tuple[int, int]]:
    """As `descend`, but the start is an answer too: of epoch 0, where no epoch was better.

    Raises:
        DataError: the loss is no number.
    """
    schedule = lesson.schedule
    tensors = {name: torch.tensor(value, dtype=torch.float32, requires_grad=True) for name, value in start.items()}
    optimiser = torch.optim.AdamW(list(tensors.values()), lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    least = _apart(loss, tensors, lesson.measure)
    best, found = _copied(tensors), 0
    for epoch in range(schedule.epochs):
        _epoch(loss, tensors, optimiser, lesson, epoch)
        here = _apart(loss, tensors, lesson.measure)
        if not np.isfinite(here):
            raise DataError("the loss is not a number; give a smaller --learning-rate")
        if here < least:
            least, best, found = here, _copied(tensors), epoch + 1
        if epoch + 1 - found >= schedule.patience:
            break
    return best, (found, epoch + 1)


def _epoch(loss: Loss, tensors: Tensors, optimiser: torch.optim.Optimizer, lesson: Lesson, epoch: int) -> None:
    schedule = lesson.schedule
    for group in optimiser.param_groups:
        group["lr"] = schedule.rate(epoch)
    order = schedule.order(lesson.learn, 0, epoch)
    for begin in range(0, len(order), schedule.batch):
        optimiser.zero_grad()
        loss(tensors, order[begin : begin + schedule.batch]).backward()
        optimiser.step()


def _apart(loss: Loss, tensors: Tensors, rows: Rows) -> float:
    total = 0.0
    with torch.no_grad():
        for begin in range(0, len(rows), CHUNK):
            chosen = rows[begin : begin + CHUNK]
            total += float(loss(tensors, chosen)) * len(chosen)
    return total / len(rows)


def _copied(tensors: Tensors) -> dict[str, Array]:
    return {name: tensor.detach().numpy().copy() for name, tensor in tensors.items()}
