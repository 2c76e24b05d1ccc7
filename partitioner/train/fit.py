"""Fits one head to pooled features, in torch.  The network is not here: its states do not change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from partitioner.heads.trainable import Parameters, Tensor, TrainableHead, Values
from partitioner.train.checkpoint import Progress
from partitioner.train.pieces import Place
from partitioner.train.schedule import Rows, Schedule
from partitioner.train.targets.base import Target
from split_core.errors import DataError

SMALLEST = 1e-6  # a feature that varies less than this is taken as it is


@dataclass(frozen=True)
class Lesson:
    """What one exit learns from.

    Attributes:
        place: the exit.
        pooled: (N, F) float32.
        final: (N, C) float32, logits of the last exit.
        labels: (N,); zeros where the target needs none.
        learn, measure: rows to learn from and to measure on.
        target: the loss.
    """

    place: Place
    pooled: Values
    final: Values
    labels: NDArray[np.int64]
    learn: Rows
    measure: Rows
    target: Target

    def standard(self) -> tuple[Values, Values]:
        """Mean and scale (F,) of the rows to learn from, as the head can fold them."""
        count, total = len(self.learn), np.zeros(self.place.features)
        squares = np.zeros(self.place.features)
        for start in range(0, count, 4096):
            chosen = self.pooled[self.learn[start : start + 4096]].astype(np.float64)
            total, squares = total + chosen.sum(0), squares + (chosen**2).sum(0)
        mean = total / count
        scale = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
        scale[scale < SMALLEST] = 1.0
        return self.place.head.tied(mean.astype(np.float32), scale.astype(np.float32))


class Fitting:
    """One head while it is fitted.

    Args:
        lesson: what it learns from.
        schedule: how.
        progress: how far an interrupted training came; None to begin.
        clock: seconds, monotonic.

    Attributes:
        progress: how far it is.
    """

    def __init__(
        self, lesson: Lesson, schedule: Schedule, progress: Progress | None, clock: Callable[[], float]
    ) -> None:
        self._lesson, self._schedule, self._clock = lesson, schedule, clock
        self._mean, self._scale = lesson.standard()
        self._mean_t, self._scale_t = torch.from_numpy(self._mean), torch.from_numpy(self._scale)
        place = lesson.place
        if progress is None:
            rng = np.random.default_rng([schedule.seed, place.exit])
            start = place.head.start(place.features, place.classes, rng)
            progress = Progress(start, start)
        self.progress = progress
        self._tensors = tensors_of(progress.parameters)
        self._trained = {name: one for name, one in self._tensors.items() if name not in place.head.fixed}
        for tensor in self._trained.values():
            tensor.requires_grad_(True)
        self._optimiser = torch.optim.AdamW(
            list(self._trained.values()), lr=schedule.learning_rate, weight_decay=schedule.weight_decay
        )
        self._restore(progress.moments)

    def epoch(self) -> None:
        """One epoch more; `progress` says whether it was the last."""
        began, progress = self._clock(), self.progress
        if progress.epoch == 0:
            progress.best_loss = self._loss_apart()
        self._epoch(progress.epoch)
        progress.epoch += 1
        progress.parameters = arrays_of(self._tensors)
        progress.moments = self._moments()
        loss = self._loss_apart()
        if not np.isfinite(loss):
            raise DataError(f"exit {self._lesson.place.exit}: the loss is not a number; give a smaller --learning-rate")
        if loss < progress.best_loss:
            progress.best, progress.best_loss, progress.best_epoch = progress.parameters, loss, progress.epoch
        waited = progress.epoch - progress.best_epoch
        progress.done = progress.epoch >= self._schedule.epochs or waited >= self._schedule.patience
        progress.seconds += self._clock() - began

    def answer(self) -> Parameters:
        """The best parameters, for features as they are.

        Raises:
            DataError: no epoch was better than the start.
        """
        if self.progress.best_epoch == 0:
            raise DataError(
                f"exit {self._lesson.place.exit}: learned nothing, validation loss never fell below "
                f"{self.progress.best_loss:.4f}; give more samples or a smaller --learning-rate"
            )
        return self._lesson.place.head.folded(self.progress.best, self._mean, self._scale)

    def _epoch(self, epoch: int) -> None:
        for group in self._optimiser.param_groups:
            group["lr"] = self._schedule.rate(epoch)
        order = self._schedule.order(self._lesson.learn, self._lesson.place.exit, epoch)
        for start in range(0, len(order), self._schedule.batch):
            self._optimiser.zero_grad()
            self._loss(order[start : start + self._schedule.batch]).backward()
            self._optimiser.step()

    def _loss(self, rows: Rows) -> Tensor:
        lesson = self._lesson
        features = (torch.from_numpy(lesson.pooled[rows]) - self._mean_t) / self._scale_t
        logits = lesson.place.head.forward(self._tensors, features)
        final, labels = torch.from_numpy(lesson.final[rows]), torch.from_numpy(lesson.labels[rows])
        return lesson.target.loss(logits, final, labels)

    def _loss_apart(self) -> float:
        rows, total = self._lesson.measure, 0.0
        with torch.no_grad():
            for start in range(0, len(rows), 4096):
                chosen = rows[start : start + 4096]
                total += float(self._loss(chosen)) * len(chosen)
        return total / len(rows)

    def _moments(self) -> Parameters:
        return {
            f"{name}/{key}": value.detach().numpy().copy()
            for name, tensor in self._trained.items()
            for key, value in self._optimiser.state[tensor].items()
        }

    def _restore(self, moments: Parameters) -> None:
        for name, tensor in self._trained.items():
            prefix = f"{name}/"
            held = {key.removeprefix(prefix): value for key, value in moments.items() if key.startswith(prefix)}
            self._optimiser.state[tensor].update(tensors_of(held))


def tensors_of(arrays: Parameters) -> dict[str, Tensor]:
    """Copies in torch."""
    return {name: torch.from_numpy(value.copy()) for name, value in arrays.items()}


def arrays_of(tensors: dict[str, Tensor]) -> Parameters:
    """Copies in numpy."""
    return {name: tensor.detach().numpy().copy() for name, tensor in tensors.items()}


def torch_logits(head: TrainableHead, parameters: Parameters, features: Values) -> Values:
    """What torch says: (N, C) float32 of features (N, F)."""
    with torch.no_grad():
        logits: Values = head.forward(tensors_of(parameters), torch.from_numpy(features)).numpy()
    return logits
