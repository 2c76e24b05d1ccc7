"""Texts of a `.tsv`, one line a frame."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from split_core.errors import DataError, SourceError
from split_core.tsv import read_tsv


class TsvSource:
    """The first column of each line of a `.tsv`, as `split_core.tsv` reads it; labels are not looked at.

    Args:
        path: the file.
        start, stop: which lines that hold a text; `stop` None is the end.
        loop: begin again at the end.
    """

    def __init__(self, path: str, start: int = 0, stop: int | None = None, loop: bool = False) -> None:
        self._path, self._start, self._stop, self._loop = Path(path), start, stop, loop
        self._texts: Iterator[str] | None = None

    def read(self) -> str | None:
        """See `Source.read`."""
        if self._texts is None:
            self._texts = self._walk()
        return next(self._texts, None)

    def close(self) -> None:
        """See `Source.close`."""
        self._texts = None

    def _walk(self) -> Iterator[str]:
        while True:
            found = 0
            try:
                for number, (text, _) in enumerate(read_tsv(self._path)):
                    if number >= self._start and (self._stop is None or number < self._stop):
                        found += 1
                        yield text
            except DataError as error:
                raise SourceError(str(error)) from error
            if not found:
                raise SourceError(f"{self._path}: no texts in it; expected text<TAB>label, or a text a line")
            if not self._loop:
                return
