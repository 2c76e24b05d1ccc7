"""What is known of a frame after a reading, as one small number; knows neither prices nor what answers are worth.

A state is (kin, bin): `kin` says how the reading's label stands to that of the exit read before it, `bin` is where
its confidence lies.  Bin 0 holds readings that a guard bars from answering.  Labels are told apart by group, one
for all unless classes are kept apart.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from split_core.readings import Reading
from split_core.tensors import FloatArray

# The joint grid's thresholds, so that no arm of it can tell frames apart that these states cannot, and finer where
# confidences of trained networks crowd.
EDGES = (0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
BINS = len(EDGES) + 2
BARRED = 0
# Kins: the label is another one than that of the exit read before, the same, or there was no exit before.
DIFFERS, AGREES, FIRST = range(3)
KINS = 3
STATES = KINS * BINS
# A step never leads to a first reading.
TARGETS = FIRST * BINS


def middles() -> FloatArray:
    """(BINS - 1,) confidence in the middle of every bin but the barred one."""
    edges = np.array([0.0, *EDGES, 1.0])
    result: FloatArray = (edges[1:] + edges[:-1]) / 2.0
    return result


def state_of(reading: Reading, before: Reading | None) -> int:
    """The state after `reading`, an exit's that was read next after `before`'s."""
    place = BARRED if reading.confidence < 0.0 else 1 + bisect_right(EDGES, reading.confidence)
    if before is None:
        return FIRST * BINS + place
    return AGREES * BINS + place if reading.label == before.label else DIFFERS * BINS + place


class Groups:
    """Which labels are kept apart.

    Args:
        of_label: group of label 0, 1, ...; any other label is in the last group.
    """

    def __init__(self, of_label: Sequence[int]) -> None:
        self.of_label = tuple(of_label)
        self.count = max(self.of_label, default=0) + 1

    def __call__(self, label: int) -> int:
        """The group of `label`."""
        return self.of_label[label] if 0 <= label < len(self.of_label) else self.count - 1
