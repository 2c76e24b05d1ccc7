"""Samples to tensors: the rows of a step, as the device would see them, or moved and mirrored before."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from partitioner.examples import Examples
from partitioner.train.joint.augment import augmented
from partitioner.train.joint.plan import Augmentation
from partitioner.train.schedule import Rows
from split_core.errors import ConfigError, DataError
from split_core.preprocess import Preprocess

AT_ONCE = 256  # rows that are measured together


class Feed:
    """N labelled samples in torch.

    Args:
        examples: with labels.
        augmentation: of what is learned from.
        channels_last: whether feature maps are laid out so.

    Raises:
        DataError: no labels.
        ConfigError: augmentation of something that is no picture.
    """

    def __init__(self, examples: Examples, augmentation: Augmentation, *, channels_last: bool) -> None:
        if examples.labels is None:
            raise DataError(
                "the samples have no labels, which joint training needs; offramp train --target selfxit does not"
            )
        if augmentation.any and not isinstance(examples.preprocess, Preprocess):
            raise ConfigError("only pictures can be augmented; say in --config how they become inputs")
        self._examples, self._augmentation, self._channels_last = examples, augmentation, channels_last
        self.labels: NDArray[np.int64] = examples.labels

    def learned(self, rows: Rows, rng: np.random.Generator) -> tuple[list[Tensor], Tensor]:
        """Inputs and labels of some rows, augmented."""
        items, preprocess = [item[rows] for item in self._examples.items], self._examples.preprocess
        if isinstance(preprocess, Preprocess) and self._augmentation.any:
            items = [augmented(items[0], self._augmentation, preprocess.fill, rng)]
        return self._tensors(items), torch.from_numpy(self.labels[rows])

    def measured(self, rows: Rows) -> Iterator[tuple[list[Tensor], Tensor]]:
        """Inputs and labels of some rows as they are, a few at a time."""
        for start in range(0, len(rows), AT_ONCE):
            chosen = rows[start : start + AT_ONCE]
            yield self.plain(chosen), torch.from_numpy(self.labels[chosen])

    def plain(self, rows: Rows) -> list[Tensor]:
        """Inputs of some rows as they are."""
        return self._tensors([item[rows] for item in self._examples.items])

    def _tensors(self, items: list[np.ndarray]) -> list[Tensor]:
        preprocess = self._examples.preprocess
        arrays = items if preprocess is None else preprocess.tensors(items[0])
        tensors = [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]
        if not self._channels_last:
            return tensors
        return [one.contiguous(memory_format=torch.channels_last) if one.ndim == 4 else one for one in tensors]
