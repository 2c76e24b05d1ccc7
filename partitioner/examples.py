"""Inputs that look like those to come, with or without labels; what other precisions are made and measured with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from partitioner.data import (
    SUFFIXES,
    TSV,
    arrays_of,
    canonical_images,
    checked_labels,
    image_files,
    mixed,
)
from partitioner.noise import noise
from partitioner.texts import read_texts
from split_core.bundle import Bundle
from split_core.errors import DataError
from split_core.intake import Intake
from split_core.manifest import Manifest
from split_core.preprocess import read_image
from split_core.tensors import Array, TensorSpec, axis_sizes

BATCH = 8  # rows that run together; more only takes memory


@dataclass(frozen=True)
class Examples:
    """N samples.

    Attributes:
        items: canonical images (N, H, W, C) uint8, or a stack of token ids (N, longest) int64; or, without
            `preprocess`, an array (N, ...) per input.
        labels: (N,) int64, indices of the manifest's labels; None when nobody knows them.
        preprocess: how an item becomes an input.
        rows: how many may run together: one for a network with a fixed batch.
        real: False for noise.
    """

    items: tuple[Array, ...]
    labels: NDArray[np.int64] | None
    preprocess: Intake | None
    rows: int = BATCH
    real: bool = True

    def __len__(self) -> int:
        return len(self.items[0])

    def part(self, rows: slice) -> Examples:
        """Some of them."""
        labels = None if self.labels is None else self.labels[rows]
        return replace(self, items=tuple(item[rows] for item in self.items), labels=labels)

    def batches(self) -> Iterator[list[Array]]:
        """The tensors of cut 0, batch by batch: the images of all samples as floats may not fit into memory."""
        for start in range(0, len(self), self.rows):
            chosen = [item[start : start + self.rows] for item in self.items]
            yield chosen if self.preprocess is None else self.preprocess.tensors(chosen[0])


def examples_of(path: Path, bundle: Bundle, count: int) -> Examples:
    """At most `count` samples for a bundle: see `read_examples`, or the first lines of a `.tsv` of texts.

    Raises:
        DataError: not there, damaged, or not samples of this network.
        MissingExtra: texts, and the library that runs tokenisers is not installed.
    """
    if path.suffix != TSV:
        return read_examples(path, bundle.manifest, count)
    intake, items, labels = read_texts(path, bundle, count)
    rows = rows_of(bundle.manifest) if intake.batches else 1
    return Examples((items,), labels if len(labels) else None, intake, rows)


def read_examples(path: Path, manifest: Manifest, count: int) -> Examples:
    """At most `count` samples for the network of `manifest`.

    Args:
        path: an `.npz` with `images` as `read_samples` takes them (`inputs` for a network without image
            preprocessing, or an array per input of the network, by name) and, if they are known, `labels`;
            or a folder of image files, or of one such folder per class.
        manifest: says what an input looks like, and names the labels.
        count: the first ones of a file; of a folder any, but always the same.

    Raises:
        DataError: not there, damaged, or not samples of this network.
    """
    if path.is_dir():
        items, labels = _from_folder(path, manifest, count)
    else:
        items, labels = _from_npz(path, manifest, count)
    return Examples(items, labels, manifest.image, rows_of(manifest))


def taken(path: Path, examples: Examples, wanted: slice) -> Examples:
    """Those of a file's first samples that were asked for.

    Raises:
        DataError: there are not so many.
    """
    needed = wanted.start + 1 if wanted.stop is None else wanted.stop
    if needed > len(examples):
        raise DataError(f"{path}: holds {len(examples)} samples, --take asks for number {needed}")
    return examples.part(wanted)


def rows_of(manifest: Manifest) -> int:
    """How many samples may run together."""
    return BATCH if manifest.cuts[0].tensors[0].shape[0] is None else 1


def invented(manifest: Manifest, count: int, seed: int) -> Examples:
    """Noise where there are no samples."""
    rng, specs = np.random.default_rng(seed), [tensor.spec for tensor in manifest.cuts[0].tensors]
    sizes = {"batch": 1, **manifest.axes_at()}
    draws = [[noise(spec, sizes, rng) for spec in specs] for _ in range(count)]
    items = tuple(np.concatenate(column) for column in zip(*draws, strict=True))
    return Examples(items, None, None, rows_of(manifest), real=False)


def _from_npz(path: Path, manifest: Manifest, count: int) -> tuple[tuple[Array, ...], NDArray[np.int64] | None]:
    specs = [tensor.spec for tensor in manifest.cuts[0].tensors]
    if manifest.image is not None:
        keys: tuple[str, ...] = ("images",)
    else:
        keys = ("inputs",) if len(specs) == 1 else tuple(spec.name for spec in specs)
    arrays = arrays_of(path, keys, ("labels",) if manifest.labels is not None else ())
    lengths = {key: len(array) if array.ndim else 0 for key, array in arrays.items()}
    if len(set(lengths.values())) != 1:
        raise DataError(f"{path}: expected as many of each, got {lengths}")
    if 0 in lengths.values():
        raise DataError(f"{path}: holds no samples")
    items = [arrays[key][:count] for key in keys]
    labels = None
    if manifest.labels is not None and "labels" in arrays:
        labels = checked_labels(path, arrays["labels"][:count], len(manifest.labels))
    if manifest.image is not None:
        return (canonical_images(path, items[0], manifest.image),), labels
    fitting = tuple(_fitting(path, spec, item) for spec, item in zip(specs, items, strict=True))
    if isinstance(sizes := axis_sizes(specs, [item.shape for item in fitting]), str):
        raise DataError(f"{path}: {sizes}")
    return fitting, labels


def _fitting(path: Path, spec: TensorSpec, item: Array) -> Array:
    shape = item.shape if spec.shape[0] is None else (1, *item.shape[1:])
    if wrong := spec.mismatch_of(item.dtype.name, shape):
        raise DataError(f"{path}: {wrong}")
    return item


def _from_folder(path: Path, manifest: Manifest, count: int) -> tuple[tuple[Array, ...], NDArray[np.int64] | None]:
    if manifest.image is None:
        raise DataError(f"{path}: a folder of images, but the network takes no images; give an .npz with inputs")
    loose = [file for file in path.iterdir() if file.is_file() and file.suffix.lower() in SUFFIXES]
    labels = () if loose else manifest.labels or ()
    files = sorted(loose or image_files(path, labels), key=lambda file: mixed(path, file))[:count]
    images = np.stack([manifest.image.canonical(read_image(str(file))) for file in files])
    return (images,), np.array([labels.index(file.parent.name) for file in files], np.int64) if labels else None
