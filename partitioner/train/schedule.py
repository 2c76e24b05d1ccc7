"""How long and how fast a head is trained, and how its rows are split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from split_core.errors import DataError

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Schedule:
    """AdamW in mini-batches, a learning rate that falls along a cosine, and early stopping.

    Attributes:
        epochs: at most.
        patience: epochs without a smaller validation loss after which it ends.
        batch: samples per step.
        learning_rate: at the start.
        weight_decay: of AdamW.
        validation: share of the samples kept apart, in (0, 1).
        seed: of the split, the start and the order of samples.
    """

    epochs: int = 40
    patience: int = 6
    batch: int = 256
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    validation: float = 0.2
    seed: int = 0

    def rate(self, epoch: int) -> float:
        """Learning rate in an epoch, counted from 0.

        Source: Loshchilov and Hutter 2017, "SGDR", equation 5, without restarts and down to 0.
        """
        return self.learning_rate * 0.5 * (1.0 + float(np.cos(np.pi * epoch / self.epochs)))

    def split(self, count: int) -> tuple[Rows, Rows]:
        """Rows to learn from, and rows to measure on; the same for the same seed and count.

        Raises:
            DataError: so few samples that one of the two is empty.
        """
        apart = round(count * self.validation)
        if not 0 < apart < count:
            raise DataError(f"{count} samples cannot be split with a share of {self.validation:g} for validation")
        mixed = np.random.default_rng([self.seed, count]).permutation(count)
        return np.sort(mixed[apart:]), np.sort(mixed[:apart])

    def order(self, rows: Rows, exit_: int, epoch: int) -> Rows:
        """The rows in the order of an epoch.  Of nothing else: an interrupted training goes on as it would have."""
        return np.random.default_rng([self.seed, exit_, epoch]).permutation(rows)
