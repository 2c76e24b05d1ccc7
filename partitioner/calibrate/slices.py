"""Accuracy and exit share by slice, the worst first: no cohort may be silently worse."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from partitioner.calibrate.segments import Rule
from split_core.errors import DataError, reason
from split_core.traces import Traces


@dataclass(frozen=True, slots=True)
class Slice:
    """What an exit rule does to the samples with one value in one column.

    Attributes:
        column, value: of the metadata.
        samples: how many.
        accuracy: of the answers given.
        full_accuracy: of the full network on the same samples.
        early: share that an exit before the last answers.
    """

    column: str
    value: str
    samples: int
    accuracy: float
    full_accuracy: float
    early: float


def slices(rule: Rule, traces: Traces, metadata: Mapping[str, Sequence[str]]) -> list[Slice]:
    """One per column and value, in order of accuracy, the lowest first.

    Args:
        rule: thresholds, from other samples.
        traces: N samples.
        metadata: column to N values.
    """
    exits = rule.exits(traces)
    right = traces.correct[np.arange(traces.samples), exits]
    found = []
    for column, values in metadata.items():
        told = np.asarray(values)
        for value in np.unique(told):
            rows = told == value
            found.append(
                Slice(
                    column,
                    str(value),
                    int(rows.sum()),
                    float(right[rows].mean()),
                    float(traces.correct[rows, -1].mean()),
                    float((exits[rows] < traces.exits - 1).mean()),
                )
            )
    return sorted(found, key=lambda one: (one.accuracy, one.column, one.value))


def read_metadata(path: Path, samples: int) -> dict[str, list[str]]:
    """Columns of a CSV with a header and one line per sample, in the order of the samples.

    Raises:
        DataError: not there, no header, or another number of lines.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *lines = list(csv.reader(file)) or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{path}: cannot be read ({reason(error)}); expected a CSV with a header, one line per sample"
        ) from error
    if not header or len(lines) != samples or any(len(line) != len(header) for line in lines):
        raise DataError(
            f"{path}: {len(lines)} lines under {len(header)} columns; expected one full line per sample, {samples}"
        )
    return {name: [line[place] for line in lines] for place, name in enumerate(header)}


def of_rows(metadata: Mapping[str, Sequence[str]], rows: NDArray[np.int64]) -> dict[str, list[str]]:
    """The metadata of some samples."""
    return {name: [values[row] for row in rows.tolist()] for name, values in metadata.items()}
