"""JSON lines from standard input, a file or a pipe: one item a line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from edge_runtime.sources.base import Item, Pixels
from split_core.errors import DataError, SourceError, reason
from split_core.preprocess import read_image

LONGEST_BYTES = 64_000_000  # a line; 1080p pixels as JSON numbers take 25 MB


class LinesSource:
    """A line is a text in quotes, `{"text": ...}`, `{"pixels": [[...]]}` or `{"path": "picture.png"}`.

    Args:
        path: "-" is standard input.
        loop: begin again at the end; of files.

    Attributes:
        skipped, problem: see `Skipping`; lines that hold no item.
    """

    def __init__(self, path: str = "-", loop: bool = False) -> None:
        self._path, self._loop = path, loop
        self._items: Iterator[Item] | None = None
        self.skipped, self.problem = 0, ""

    def read(self) -> Item | None:
        """See `Source.read`."""
        if self._items is None:
            self._items = self._walk()
        return next(self._items, None)

    def close(self) -> None:
        """See `Source.close`."""
        self._items = None

    def _walk(self) -> Iterator[Item]:
        while True:
            found = 0
            for number, line in enumerate(self._lines(), 1):
                try:
                    item = item_of(line)
                except DataError as error:
                    self.skipped += 1
                    self.problem = self.problem or f"line {number}: {error}"
                    continue
                found += 1
                yield item
            if not found:
                raise SourceError(f"{self._path}: no items in it; {self.problem or 'expected a JSON value a line'}")
            if not self._loop or self._path == "-":
                return

    def _lines(self) -> Iterator[bytes]:
        if self._path == "-":
            yield from _cut(sys.stdin.buffer)
            return
        try:
            with open(self._path, "rb") as file:
                yield from _cut(file)
        except OSError as error:
            raise SourceError(f"{self._path}: cannot be read ({reason(error)}); expected JSON lines") from error


def _cut(file: BinaryIO) -> Iterator[bytes]:
    """Lines that are not empty; one that is too long comes in pieces, and is no JSON."""
    while line := file.readline(LONGEST_BYTES):
        if line.strip():
            yield line


def item_of(line: bytes) -> Item:
    """The item of one line.

    Raises:
        DataError: it holds none.
    """
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"not JSON ({reason(error)})") from error
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and len(value) == 1:
        [(key, inner)] = value.items()
        if key in ("text", "path") and isinstance(inner, str):
            return inner if key == "text" else read_image(inner)
        if key == "pixels":
            return _pixels(inner)
    raise DataError('expected a text, {"text": ...}, {"pixels": ...} or {"path": ...}')


def _pixels(rows: Any) -> Pixels:
    try:
        found = np.array(rows)
    except ValueError as error:  # rows of different lengths
        raise DataError("pixels: expected rows of one length") from error
    if found.ndim == 2:
        found = found[:, :, None]
    whole = found.dtype.kind in "iu" and found.size > 0
    if not whole or found.ndim != 3 or found.shape[2] not in (1, 3) or found.min() < 0 or found.max() > 255:
        raise DataError(f"pixels: expected (H, W), (H, W, 1) or (H, W, 3) of 0..255, got {found.dtype} {found.shape}")
    pixels: Pixels = found.astype(np.uint8)
    pixels.flags.writeable = False
    return pixels
