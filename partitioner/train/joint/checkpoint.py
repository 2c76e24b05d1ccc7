"""What a joint training has reached, in a file without pickle: it goes on from there, bit by bit the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from partitioner.train.joint.rows import Epoch
from partitioner.train.kept import KeptArrays
from split_core.tensors import Array

Arrays = dict[str, Array]
GROUPS = ("now", "best", "moments")


@dataclass
class Reached:
    """How far a training is.

    Attributes:
        now: the module's state, and what the weighting learned.
        best: the module's state after the best epoch.
        moments: the optimiser's, by parameter and name.
        history: what each epoch gave; its length is the number of epochs done.
    """

    now: Arrays = field(default_factory=dict)
    best: Arrays = field(default_factory=dict)
    moments: Arrays = field(default_factory=dict)
    history: list[Epoch] = field(default_factory=list)

    @property
    def best_epoch(self) -> int:
        """Number of the best one, from 1: most right over all exits, and of those the least loss; 0 for none."""
        if not self.history:
            return 0
        return max(range(len(self.history)), key=lambda k: self.history[k].merit) + 1


class Checkpoint:
    """The file.

    Args:
        path: where; None keeps nothing.
        key: says which training this is; a file of another is refused.
    """

    def __init__(self, path: Path | None, key: str) -> None:
        self._kept = KeptArrays(path, key, "module")

    def read(self) -> Reached:
        """What is there.

        Raises:
            DataError: the file is damaged.
            ConfigError: it is of another training.
        """
        stored = self._kept.read(("losses", "right"))
        if not stored:
            return Reached()
        now, best, moments = (_group(stored, group) for group in GROUPS)
        rows = zip(stored["losses"].tolist(), stored["right"].tolist(), strict=True)
        return Reached(now, best, moments, [Epoch(tuple(losses), tuple(right)) for losses, right in rows])

    def write(self, reached: Reached) -> None:
        """Keep this.

        Raises:
            DataError: the disk refuses.
        """
        arrays: Arrays = {
            "losses": np.array([epoch.losses for epoch in reached.history]),
            "right": np.array([epoch.right for epoch in reached.history]),
        }
        for group in GROUPS:
            arrays |= {f"{group}/{name}": value for name, value in getattr(reached, group).items()}
        self._kept.write(arrays)


def _group(stored: Mapping[str, Array], group: str) -> Arrays:
    prefix = f"{group}/"
    return {name.removeprefix(prefix): value for name, value in stored.items() if name.startswith(prefix)}
