"""What a training has reached, in a file: a training that was interrupted goes on from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from partitioner.heads.trainable import Parameters
from partitioner.train.kept import KeptArrays
from split_core.errors import DataError

NUMBERS = ("epoch", "best_epoch", "best_loss", "done")


@dataclass
class Progress:
    """How far one exit is.

    Attributes:
        parameters: now, for standardised features.
        best: those with the smallest validation loss.
        moments: the optimiser's, by parameter and name.
        epoch: epochs done.
        best_epoch: the one after which `best` were taken; 0 for the start.
        best_loss: validation loss then.
        done: nothing is left to do.
        seconds: spent since this process began.
    """

    parameters: Parameters
    best: Parameters
    moments: Parameters = field(default_factory=dict)
    epoch: int = 0
    best_epoch: int = 0
    best_loss: float = float("inf")
    done: bool = False
    seconds: float = 0.0


class Checkpoint:
    """The file.

    Args:
        path: where; None keeps nothing.
        key: says which training this is; a file of another is refused.
    """

    def __init__(self, path: Path | None, key: str) -> None:
        self._kept = KeptArrays(path, key, "bundle")
        self._exits: dict[int, Progress] = {}

    def read(self) -> dict[int, Progress]:
        """What is there: progress by exit.

        Raises:
            DataError: the file is damaged.
            ConfigError: it is of another training.
        """
        stored = self._kept.read(("exits",))
        if not stored:
            return {}
        try:
            self._exits = {int(number): _progress(stored, int(number)) for number in stored["exits"]}
        except (KeyError, ValueError, TypeError) as error:
            raise DataError(f"{self._kept.path}: not a whole checkpoint; remove it") from error
        return dict(self._exits)

    def write(self, exit_: int, progress: Progress) -> None:
        """Keep this.

        Raises:
            DataError: the disk refuses.
        """
        self._exits[exit_] = progress
        arrays = {"exits": np.array(list(self._exits), np.int64)}
        for number, one in self._exits.items():
            arrays |= _arrays(number, one)
        self._kept.write(arrays)


def _arrays(number: int, progress: Progress) -> dict[str, np.ndarray]:
    groups = {"parameters": progress.parameters, "best": progress.best, "moments": progress.moments}
    arrays = {f"{number}/{group}/{name}": value for group, held in groups.items() for name, value in held.items()}
    return {**arrays, f"{number}/numbers": np.array([float(getattr(progress, name)) for name in NUMBERS])}


def _progress(stored: Mapping[str, np.ndarray], number: int) -> Progress:
    def group(name: str) -> Parameters:
        prefix = f"{number}/{name}/"
        return {key.removeprefix(prefix): stored[key] for key in stored if key.startswith(prefix)}

    epoch, best_epoch, best_loss, done = stored[f"{number}/numbers"].tolist()
    return Progress(
        group("parameters"), group("best"), group("moments"), int(epoch), int(best_epoch), best_loss, bool(done)
    )
