"""CIFAR-10 as a folder per class in `train` and `test`, read once: four parts that share no image."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from partitioner.data import image_files, mixed
from split_core.preprocess import Preprocess

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # as the pretrained weights want them
PREPROCESS = Preprocess(height=32, width=32, colour="rgb", mean=MEAN, std=STD)
APART = 10  # a tenth of the training images: what is trained on a finished network learns from images new to it


@dataclass(frozen=True)
class Pictures:
    """Images (N, 32, 32, 3) uint8 and labels (N,) int64."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def part(self, rows: slice) -> Pictures:
        return Pictures(self.images[rows], self.labels[rows])


def class_names(data: Path) -> tuple[str, ...]:
    return tuple(sorted(folder.name for folder in (data / "train").iterdir() if folder.is_dir()))


def pictures(data: Path, split: str, work: Path) -> Pictures:
    """All images of `train` or `test` in an order that depends on their names only; kept as `.npz` in `work`."""
    kept = work / f"{split}.npz"
    if not kept.exists():
        names = class_names(data)
        files = sorted(image_files(data / split, names), key=lambda file: mixed(data / split, file))
        with ThreadPoolExecutor(2) as pool:
            images = np.stack(list(pool.map(_pixels, files)))
        work.mkdir(parents=True, exist_ok=True)
        np.savez(kept, images=images, labels=np.array([names.index(file.parent.name) for file in files], np.int64))
    with np.load(kept) as file:
        return Pictures(file["images"], file["labels"])


def parts_of(data: Path, work: Path) -> tuple[Pictures, Pictures]:
    """Training images to learn from, and those kept apart."""
    every = pictures(data, "train", work)
    learned = len(every.labels) - len(every.labels) // APART
    return every.part(slice(learned)), every.part(slice(learned, None))


def _pixels(file: Path) -> NDArray[np.uint8]:
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))
