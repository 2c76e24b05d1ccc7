"""What a criterion learns from, and what a trainer must say."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from partitioner.train.schedule import Rows, Schedule
from split_core.tensors import Array
from split_core.traces import Traces

SMALLEST = 1e-6  # what varies less than this is taken as it is


@dataclass(frozen=True)
class Lesson:
    """What is known of N samples, and who learns from which.

    Attributes:
        traces: logits, hidden states where they are needed, tokens of texts; `labels` are the truth, or what the
            final exit says where nobody knows it.
        learn, measure: rows to learn from and to measure on.
        schedule: how long and how fast.
        special: ids of tokens that are in every text by rule: padding.
    """

    traces: Traces
    learn: Rows
    measure: Rows
    schedule: Schedule
    special: tuple[int, ...] = ()

    @property
    def exits(self) -> int:
        """K."""
        return self.traces.exits

    @property
    def classes(self) -> int:
        """C."""
        return int(self.traces.logits.shape[2])

    @property
    def widths(self) -> list[int]:
        """D_k of exits 1..K-1."""
        return [states.shape[1] for states in self.traces.hidden]

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """(N, K): does exit k, by its own logits, say the truth?"""
        found: NDArray[np.bool_] = self.traces.logits.argmax(axis=2) == self.traces.labels[:, None]
        return found

    def states(self, rows: Rows) -> NDArray[np.float32]:
        """(n, K - 1, D) hidden states, narrower ones filled with zeros, as the criteria fill them."""
        widest = max(self.widths)
        made = np.zeros((len(rows), len(self.widths), widest), np.float32)
        for place, states in enumerate(self.traces.hidden):
            made[:, place, : states.shape[1]] = states[rows]
        return made

    def spread(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and standard deviation (K - 1, D) of the states to learn from; 0 and 1 where they are filled."""
        widest = max(self.widths)
        mean, scale = np.zeros((len(self.widths), widest)), np.ones((len(self.widths), widest))
        for place, states in enumerate(self.traces.hidden):
            chosen = states[self.learn].astype(np.float64)
            mean[place, : chosen.shape[1]] = chosen.mean(0)
            scale[place, : chosen.shape[1]] = floored(chosen.std(0))
        return mean.astype(np.float32), scale.astype(np.float32)

    def marked(self, arrays: dict[str, Array]) -> dict[str, Array]:
        """The arrays with `widths`, where exits differ in it."""
        return arrays if len(set(self.widths)) == 1 else {**arrays, "widths": np.array(self.widths)}


@dataclass(frozen=True)
class Taught:
    """Arrays, and after which of how many epochs they were best; (0, 0) where they were counted.

    Attributes:
        arrays: as the criterion takes them.
        epochs: the best, and all.
    """

    arrays: dict[str, Array]
    epochs: tuple[int, int] = field(default=(0, 0))


class Trainer(Protocol):
    """Fits the arrays of one criterion; its parameters are what a person may set."""

    def fit(self, lesson: Lesson) -> Taught:
        """The arrays.

        Raises:
            DataError: nothing can be learned from these samples.
        """


def floored(scale: Array) -> Array:
    """Standard deviations to divide by: 1 instead of almost nothing."""
    return np.where(scale < SMALLEST, 1.0, scale)
