"""Images of an `.npz` file."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from edge_runtime.sources.base import Pixels
from split_core.errors import SourceError, reason


class ArraySource:
    """The array `images` of an `.npz`: uint8 (N, H, W) or (N, H, W, 1 or 3).

    Args:
        path: the file.
        start, stop: which images; `stop` None is the end.
        loop: begin again at the end.
    """

    def __init__(self, path: str, start: int = 0, stop: int | None = None, loop: bool = False) -> None:
        self._path, self._range, self._loop = Path(path), slice(start, stop), loop
        self._images: Pixels | None = None
        self._next = 0

    def read(self) -> Pixels | None:
        """See `Source.read`."""
        if self._images is None:
            self._images = self._load()
        if self._next >= len(self._images):
            if not self._loop:
                return None
            self._next = 0
        self._next += 1
        picture: Pixels = self._images[self._next - 1]
        return picture

    def close(self) -> None:
        """See `Source.close`."""
        self._images = None

    def _load(self) -> Pixels:
        try:
            with np.load(self._path, allow_pickle=False) as file:
                images: Pixels = file["images"][self._range]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
            raise SourceError(
                f"{self._path}: cannot be read ({reason(error)}); expected an .npz with 'images'"
            ) from error
        if images.ndim == 3:
            images = images[..., np.newaxis]
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3) or not images.size:
            raise SourceError(
                f"{self._path}: expected uint8 images (N, H, W) or (N, H, W, 1 or 3), got {images.dtype} {images.shape}"
            )
        images.flags.writeable = False
        return images
