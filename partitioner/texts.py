"""Texts of a `.tsv` as token ids, for whatever runs a bundle at build time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from split_core.bundle import Bundle
from split_core.errors import DataError
from split_core.intake import Intake
from split_core.registry import suggestion
from split_core.tensors import Array
from split_core.text import Text
from split_core.tsv import read_tsv


def read_texts(path: Path, bundle: Bundle, count: int | None = None) -> tuple[Intake, Array, NDArray[np.int64]]:
    """The texts of a `.tsv`, at most `count`, as a stack of token ids, with how they become inputs.

    Labels are names of the manifest's, or their numbers; there are none, (0,), where a line has none.

    Raises:
        DataError: not there, damaged, a label that is none, or the network takes no texts.
        MissingExtra: the library that runs tokenisers is not installed.
    """
    intake = bundle.intake()
    if not isinstance(intake, Text):
        raise DataError(
            f"{path}: texts, and {bundle.manifest.name} says of no tokeniser that it takes any; expected an .npz"
        )
    lines = list(islice(read_tsv(path), count))
    if not lines:
        raise DataError(f"{path}: holds no samples; expected text<TAB>label, one a line")
    items = intake.stack([intake.canonical(text) for text, _ in lines])
    labels = [_class_of(path, label, bundle.manifest.labels or ()) for _, label in lines if label is not None]
    return intake, items, np.array(labels if len(labels) == len(lines) else [], np.int64)


def _class_of(path: Path, label: str, names: Sequence[str]) -> int:
    """A class by its name or, where no class has this name, by its number."""
    if label in names:
        return names.index(label)
    if label.isascii() and label.isdigit() and int(label) < len(names):
        return int(label)
    near = suggestion(label, list(names))
    raise DataError(f"{path}: no class is named {label[:40]!r}{near}; there are: {', '.join(names)}, or their numbers")
