"""Which source reads a path, for commands that are given just a path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_runtime.sources import SOURCES
from edge_runtime.sources.base import Pixels, Source
from split_core.errors import SourceError


def kind_of(path: Path) -> str:
    """Name in `SOURCES`: a folder is "directory", an `.npz` is "array", anything else "video"."""
    if path.is_dir():
        return "directory"
    return "array" if path.suffix == ".npz" else "video"


def source_for(path: Path, **options: Any) -> Source:
    """A source over `path`.

    Raises:
        SourceError: nothing is there.
        MissingExtra: a video without the `[camera]` extra.
    """
    if not path.exists():
        raise SourceError(f"{path}: no such file or folder")
    source: Source = SOURCES.load(kind_of(path))(path=str(path), **options)
    return source


def pictures(path: Path, count: int) -> list[Pixels]:
    """The first `count` pictures of `path`, or fewer when there are fewer.

    Raises:
        SourceError: there are none.
    """
    source = source_for(path)
    try:
        found: list[Pixels] = []
        while len(found) < count and (pixels := source.read()) is not None:
            found.append(pixels)
        return found
    finally:
        source.close()
