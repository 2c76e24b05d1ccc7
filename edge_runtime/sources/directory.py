"""Image files of a folder, in the order of their names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edge_runtime.sources.base import Pixels
from split_core.errors import DataError, SourceError
from split_core.preprocess import read_image

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})


class DirectorySource:
    """Pictures of a folder and its sub-folders; unreadable files are skipped and counted.

    Args:
        path: the folder.
        loop: begin again at the end.

    Attributes:
        skipped, problem: see `Skipping`.
    """

    def __init__(self, path: str, loop: bool = False) -> None:
        self._path, self._loop = Path(path), loop
        self._files: Iterator[Path] | None = None
        self.skipped, self.problem = 0, ""

    def read(self) -> Pixels | None:
        """See `Source.read`."""
        if self._files is None:
            self._files = self._walk()
        for file in self._files:
            try:
                return read_image(str(file))
            except DataError as error:
                self.skipped += 1
                self.problem = self.problem or str(error)
        return None

    def close(self) -> None:
        """See `Source.close`."""
        self._files = None

    def _walk(self) -> Iterator[Path]:
        if not self._path.is_dir():
            raise SourceError(f"{self._path}: not a folder; expected one with pictures")
        files = sorted(p for p in self._path.rglob("*") if p.suffix.lower() in SUFFIXES)
        if not files:
            raise SourceError(f"{self._path}: no pictures in it; expected {', '.join(sorted(SUFFIXES))}")
        while True:
            skipped_before = self.skipped
            yield from files
            if not self._loop:
                return
            if self.skipped - skipped_before == len(files):
                raise SourceError(f"{self._path}: none of its {len(files)} pictures can be read")
