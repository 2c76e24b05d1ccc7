"""Which source reads a path, for commands that are given just a path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_runtime.sources import SOURCES
from edge_runtime.sources.base import Item, Source
from edge_runtime.sources.directory import SUFFIXES
from split_core.errors import SourceError
from split_core.preprocess import read_image


def kind_of(path: Path) -> str:
    """Name in `SOURCES`: a folder is "directory", an `.npz` "array", a `.tsv` "tsv", anything else "video"."""
    if path.is_dir():
        return "directory"
    return {".npz": "array", ".tsv": "tsv"}.get(path.suffix, "video")


def source_for(path: Path, **options: Any) -> Source:
    """A source over `path`.

    Raises:
        SourceError: nothing is there.
        MissingExtra: a video without the `[camera]` extra.
    """
    if not path.exists():
        raise SourceError(f"{path}: no such file or folder; expected an .npz of images, a folder, a video or a .tsv")
    source: Source = SOURCES.load(kind_of(path))(path=str(path), **options)
    return source


def items(path: Path, count: int) -> list[Item]:
    """The first `count` pictures or texts of `path`, or fewer when there are fewer; a single picture's file is one.

    Raises:
        SourceError: nothing is there.
        DataError: a picture cannot be read.
    """
    if path.suffix.lower() in SUFFIXES and path.is_file():
        return [read_image(str(path))]
    source = source_for(path)
    try:
        found: list[Item] = []
        while len(found) < count and (item := source.read()) is not None:
            found.append(item)
        return found
    finally:
        source.close()
