"""Counts the thresholds of `split_core.criteria.exit_share`: MSDNet's budgeted batch."""

from __future__ import annotations

import numpy as np

from partitioner.train.criteria.base import Lesson, Taught
from split_core.criteria.exit_share import shares, thresholds_for
from split_core.params import number
from split_core.readings import softmax


class ExitShareTrainer:
    """Thresholds at which shares q_k proportional to ratio^k of the samples leave at each exit.

    Huang et al. 2018 (MSDNet); its code sweeps ratio = 0.05 .. 1.95.  Counted on the rows to learn from.

    Args:
        ratio: of each exit's share to that of the one before; below 1 leaves early.

    Raises:
        ConfigError: a ratio out of its range.
    """

    def __init__(self, ratio: float = 0.7) -> None:
        self._ratio = number("ratio", ratio, 0.01, 10.0)

    def fit(self, lesson: Lesson) -> Taught:
        """See `Trainer`."""
        surest = softmax(lesson.traces.logits[lesson.learn]).max(axis=2)
        return Taught({"thresholds": np.array(thresholds_for(surest, shares(self._ratio, lesson.exits)))})
