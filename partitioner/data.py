"""Labelled samples: an `.npz` file, a folder per class, or a `.tsv` of texts."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from partitioner.texts import read_texts
from split_core.bundle import Bundle
from split_core.errors import ConfigError, DataError
from split_core.files import sha256_of
from split_core.intake import Intake
from split_core.manifest import Manifest
from split_core.preprocess import Preprocess, read_image
from split_core.registry import suggestion
from split_core.tensors import Array, TensorSpec

TSV = ".tsv"
BATCH = 64  # rows that run together
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"})


@dataclass(frozen=True)
class Samples:
    """N labelled samples that fit a network.

    Attributes:
        items: canonical images (N, H, W, C) uint8, or a stack of token ids (N, longest) int64; or, without
            `preprocess`, input tensors (N, ...).
        labels: (N,) int64, indices of the manifest's labels.
        preprocess: how an item becomes an input.
    """

    items: Array
    labels: NDArray[np.int64]
    preprocess: Intake | None

    @property
    def together(self) -> int:
        """How many run in one batch: what is recorded of each shall be that of each alone."""
        return BATCH if self.preprocess is None else self.preprocess.together

    def __len__(self) -> int:
        return len(self.labels)

    def inputs(self, rows: slice) -> list[Array]:
        """The tensors of cut 0 for some samples."""
        chosen = self.items[rows]
        return [chosen] if self.preprocess is None else self.preprocess.tensors(chosen)

    def first(self, count: int) -> Samples:
        """At most `count` samples from the start."""
        return Samples(self.items[:count], self.labels[:count], self.preprocess)


def samples_of(path: Path, bundle: Bundle, take: slice) -> Samples:
    """Labelled samples for a bundle: see `read_samples`, or a `.tsv` of texts and labels.

    Raises:
        DataError: not there, damaged, or not samples of this network.
        MissingExtra: texts, and the library that runs tokenisers is not installed.
    """
    if path.suffix != TSV:
        return read_samples(path, bundle.manifest, take)
    names = _class_names(bundle.manifest)
    intake, items, labels = read_texts(path, bundle)
    if not len(labels):
        raise DataError(f"{path}: has lines without a label; expected text<TAB>label")
    chosen = _taken(path, len(labels), take)
    return Samples(items[chosen], checked_labels(path, labels[chosen], len(names)), intake)


def read_samples(path: Path, manifest: Manifest, take: slice) -> Samples:
    """Labelled samples for the network of `manifest`.

    Args:
        path: an `.npz` with `images` (N, H, W) or (N, H, W, 1 or 3) uint8 and `labels` (N,) integers (for
            a network without preprocessing: `inputs` instead of `images`); or a folder with one folder
            of image files per class, named as the manifest's labels.
        manifest: says what an input looks like, and names the labels.
        take: which of them, in the file's order; in a folder the order is mixed, and always the same.

    Raises:
        DataError: not there, damaged, or not samples of this network.
    """
    names = _class_names(manifest)
    if len(manifest.cuts[0].tensors) != 1:
        raise DataError(f"the network takes {len(manifest.cuts[0].tensors)} inputs; an .npz can feed one only")
    if path.is_dir():
        return _from_folder(path, manifest.image, names, take)
    return _from_npz(path, manifest, names, take)


def _class_names(manifest: Manifest) -> tuple[str, ...]:
    if manifest.labels is None:
        raise DataError(f"{manifest.name}: gives no class logits; labelled samples say nothing about such a network")
    return manifest.labels


def take_from_text(text: str) -> slice:
    """`"0:5000"`, `":5000"`, `"5000:"` or `""` (all) as a slice.

    Raises:
        ConfigError: anything else.
    """
    start, colon, stop = text.partition(":")
    if not text:
        return slice(0, None)
    if not colon or not all(part.isascii() and (part.isdigit() or not part) for part in (start, stop)):
        raise ConfigError(f"--take {text!r}: expected first:end, for example 0:5000 for the first 5000 samples")
    taken = slice(int(start or 0), int(stop) if stop else None)
    if taken.stop is not None and taken.stop <= taken.start:
        raise ConfigError(f"--take {text!r}: takes no samples; the end must be greater than the first")
    return taken


def _from_npz(path: Path, manifest: Manifest, names: tuple[str, ...], take: slice) -> Samples:
    image = manifest.image
    key = "images" if image is not None else "inputs"
    arrays = arrays_of(path, (key, "labels"))
    items, labels = arrays[key], checked_labels(path, arrays["labels"], len(names))
    if len(items.shape) == 0 or len(items) != len(labels):
        raise DataError(f"{path}: {key} has shape {items.shape}, labels {labels.shape}; expected as many of both")
    chosen = _taken(path, len(labels), take)
    items, labels = items[chosen], labels[chosen]
    if image is not None:
        return Samples(canonical_images(path, items, image), labels, image)
    return Samples(_fitting(path, items, manifest.cuts[0].tensors[0].spec), labels, None)


def arrays_of(
    path: Path, keys: tuple[str, ...], optional: tuple[str, ...] = (), *, every: bool = False
) -> dict[str, Array]:
    """The named arrays of an `.npz`, those of `optional` that it holds, or `every` one; nothing is unpickled.

    Raises:
        DataError: not there, damaged, or one of `keys` is absent.
    """
    try:
        # Opened here: numpy leaves its own handle open when the archive is damaged.
        with path.open("rb") as opened:
            file = np.load(opened, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise DataError(f"{path}: a single array; expected an .npz with {' and '.join(keys)}")
            absent = [key for key in keys if key not in file.files]
            if absent:
                raise DataError(f"{path}: no array named {absent[0]!r}, there are: {', '.join(file.files) or 'none'}")
            others = file.files if every else [key for key in optional if key in file.files]
            return {key: file[key] for key in dict.fromkeys((*keys, *others))}
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file or folder; expected an .npz, a folder per class or a .tsv") from error
    except (OSError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        # What numpy says of it would advise to unpickle.
        raise DataError(f"{path}: not a readable .npz; expected one with the arrays {' and '.join(keys)}") from error


def checked_labels(path: Path, labels: Array, classes: int) -> NDArray[np.int64]:
    """Labels as class numbers.

    Raises:
        DataError: none, not integers, or not of this many classes.
    """
    if labels.dtype.kind not in "iu" or labels.ndim != 1 or not len(labels):
        raise DataError(f"{path}: labels must be (N,) integers with N > 0, got {labels.dtype} {labels.shape}")
    if int(labels.min()) < 0 or int(labels.max()) >= classes:
        raise DataError(f"{path}: labels must be 0..{classes - 1}, got {labels.min()}..{labels.max()}")
    return labels.astype(np.int64)


def _taken(path: Path, count: int, take: slice) -> slice:
    wanted = take.start + 1 if take.stop is None else take.stop
    if wanted > count:
        raise DataError(f"{path}: holds {count} samples, --take asks for number {wanted}")
    return take


def canonical_images(path: Path, images: Array, preprocess: Preprocess) -> NDArray[np.uint8]:
    """Images (N, H, W) or (N, H, W, C) of one size as canonical ones.

    Raises:
        DataError: not uint8, or of another shape.
    """
    if images.ndim == 3:
        images = images[..., None]
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape:
        raise DataError(
            f"{path}: images must be uint8 (N, H, W) or (N, H, W, 1 or 3), got {images.dtype} {images.shape}"
        )
    if images.shape[1:] == preprocess.image_shape:
        return images
    return np.stack([preprocess.canonical(image) for image in images])


def _fitting(path: Path, items: Array, spec: TensorSpec) -> Array:
    if wrong := spec.mismatch(items):
        raise DataError(f"{path}: {wrong}")
    return items


def _from_folder(path: Path, preprocess: Preprocess | None, names: tuple[str, ...], take: slice) -> Samples:
    if preprocess is None:
        raise DataError(f"{path}: a folder of images, but the network takes no images; give an .npz with inputs")
    # Mixed, so that any range holds every class; by name, so that it is the same range everywhere.
    files = sorted(image_files(path, names), key=lambda file: mixed(path, file))
    chosen = files[_taken(path, len(files), take)]
    labels = np.array([names.index(file.parent.name) for file in chosen], np.int64)
    return Samples(np.stack([preprocess.canonical(read_image(str(file))) for file in chosen]), labels, preprocess)


def mixed(root: Path, file: Path) -> str:
    """Puts files into an order that depends on their names alone, and mixes the classes."""
    return sha256_of(file.relative_to(root).as_posix().encode())


def image_files(path: Path, labels: tuple[str, ...]) -> list[Path]:
    """The pictures of a folder per class.

    Raises:
        DataError: a folder is of no class, or there are no pictures.
    """
    folders = sorted(item for item in path.iterdir() if item.is_dir() and not item.name.startswith("."))
    for folder in folders:
        if folder.name not in labels:
            near = suggestion(folder.name, list(labels))
            raise DataError(f"{folder}: no class is named {folder.name!r}{near}; there are: {', '.join(labels)}")
    files = [file for folder in folders for file in folder.iterdir() if file.suffix.lower() in SUFFIXES]
    if not files:
        raise DataError(f"{path}: no images; expected one folder per class ({', '.join(labels)}) with image files")
    return files
