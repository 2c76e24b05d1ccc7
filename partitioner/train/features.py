"""What exits learn from: every sample goes through the network once, and its pooled states are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from partitioner.chain import Chain
from partitioner.examples import Examples
from partitioner.heads.trainable import Values
from partitioner.train.pieces import Place, pooling_model
from split_core.backends.base import Backend
from split_core.errors import DataError
from split_core.manifest import Manifest
from split_core.tensors import Array

IN_MEMORY_BYTES = 256 << 20  # what is more lies in a file, and the system keeps in memory what it has room for


class Pooling:
    """The pooling of one exit, loaded."""

    def __init__(self, place: Place, manifest: Manifest, backend: Backend, threads: int) -> None:
        self.place = place
        self._session = backend.load(pooling_model(place), threads=threads)
        names = [tensor.name for tensor in manifest.cuts[place.exit].tensors]
        self._taken = [names.index(name) for name in self._session.inputs]

    def run(self, cuts: Sequence[Sequence[Array]]) -> Values:
        """Features (N, F) of the tensors of all cuts."""
        crossing = cuts[self.place.exit]
        return np.asarray(self._session.run([crossing[index] for index in self._taken])[0], np.float32)


@dataclass(frozen=True)
class Features:
    """What is known of N samples.

    Attributes:
        pooled: by exit, (N, F) float32; may be mapped from a file.
        final: (N, C) float32, logits of the last exit.
        before: by exit, (N,) the class that it said before training.
        labels: (N,); None when nobody knows them.
    """

    pooled: dict[int, Values]
    final: Values
    before: dict[int, NDArray[np.int64]]
    labels: NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.final)


def features_of(
    chain: Chain, poolings: Sequence[Pooling], examples: Examples, room: Path, progress: Callable[[int], None]
) -> Features:
    """Run all samples through the network.

    Args:
        chain: the bundle's pieces.
        poolings: of the exits to train.
        examples: N samples.
        room: an existing folder for what does not fit into memory; the caller removes it, after the features.
        progress: told how many more samples are done, after every batch.

    Raises:
        BackendError: the engine refuses the samples.
        DataError: a hidden state is not a number somewhere.
    """
    count = len(examples)
    pooled = {one.place.exit: _array(room, one.place, count) for one in poolings}
    before = {one.place.exit: np.empty(count, np.int64) for one in poolings}
    final, start = [], 0
    for batch in examples.batches():
        passage = chain.run(batch)
        rows = slice(start, start + len(passage.outputs[0]))
        for one in poolings:
            made = one.run(passage.cuts)
            if not np.isfinite(made).all():
                raise DataError(f"exit {one.place.exit}: features are not finite for samples {start}..{rows.stop - 1}")
            pooled[one.place.exit][rows] = made
            before[one.place.exit][rows] = passage.logits[one.place.exit - 1].argmax(1)
        final.append(passage.logits[-1].astype(np.float32))
        start = rows.stop
        progress(len(final[-1]))
    return Features(pooled, np.concatenate(final), before, examples.labels)


def _array(room: Path, place: Place, count: int) -> Values:
    shape = (count, place.features)
    if 4 * count * place.features <= IN_MEMORY_BYTES:
        return np.empty(shape, np.float32)
    return np.lib.format.open_memmap(room / f"exit_{place.exit}.npy", "w+", np.float32, shape)
