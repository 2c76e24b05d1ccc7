"""The joint grid forgets when confidences change: what is seen is not what was learned from.

What is watched is the first reading of every frame, per exit: it is taken whatever the frame looks like, so the
choices of the bandit do not change it.  Costs are no reason to forget: no reading depends on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bandits import params, saved
from bandits.indices.change import Bucket, first_after_change
from bandits.strata import Strata
from split_core.errors import PolicyFileError
from split_core.readings import Reading
from split_core.tensors import FloatArray

BLOCK = 128  # frames between two looks
PER_SIZE = 2  # blocks of each size; the next one makes one of the two oldest

COUNT, TOTAL, SQUARES = range(3)


@dataclass(slots=True)
class Block:
    """Frames that followed each other.

    Attributes:
        frames: how many.
        sums: theirs, as in `Strata`.
        first: (3, K-1) of first readings per exit: count, and sums of confidences and of their squares.
    """

    frames: float
    sums: FloatArray
    first: FloatArray

    def bucket(self, exit: int) -> Bucket:
        """First readings of an exit."""
        count, total, squares = (float(one) for one in self.first[:, exit - 1])
        return Bucket(count, total, squares, 0.0)


class ChangingStrata(Strata):
    """Strata of all frames since confidences last changed.

    Args:
        exits: K.
        thresholds: ascending.
        false_alarm: chance of a cut, per exit and look, where nothing has changed; in fact far lower.

    Attributes:
        changes: cuts so far.

    Raises:
        ConfigError: out of its range.
    """

    def __init__(self, exits: int, thresholds: Sequence[float], *, false_alarm: float = 0.002) -> None:
        super().__init__(exits, thresholds, discount=1.0)
        self._false_alarm = params.number("false_alarm", false_alarm, 1e-12, 0.5)
        self._exits = range(1, exits)
        self._blocks: list[Block] = []  # oldest first
        self._open = self._new_block()
        self.changes = 0

    def _new_block(self) -> Block:
        return Block(0.0, self._sums.copy(), np.zeros((3, len(self._exits))))

    def observe(self, readings: Sequence[Reading], final: float | None, *, ran_to_end: bool) -> None:
        """See `Strata`."""
        super().observe(readings, final, ran_to_end=ran_to_end)
        self._open.frames += 1.0
        if readings:
            one = max(0.0, readings[0].confidence)
            self._open.first[:, readings[0].exit - 1] += (1.0, one, one * one)
        if self._open.frames == BLOCK:
            self._close_block()

    def _close_block(self) -> None:
        self._open.sums = self._sums - self._open.sums  # until now: what the sums were when it began
        self._blocks.append(self._open)
        _merge(self._blocks)
        first = max(map(self._first_after_change, self._exits), default=0)
        if first:
            self.changes += 1
            del self._blocks[:first]
            self._sums[:] = np.sum([block.sums for block in self._blocks], axis=0)
            self._frames = sum(block.frames for block in self._blocks)
        self._open = self._new_block()

    def _first_after_change(self, exit: int) -> int:
        """Which block is the first after the likeliest change of an exit's confidences; 0 when there is none."""
        buckets = [(place, block.bucket(exit)) for place, block in enumerate(self._blocks)]
        seen = [(place, bucket) for place, bucket in buckets if bucket.rewards]
        cut = first_after_change([bucket for _, bucket in seen], span=1.0, false_alarm=self._false_alarm) if seen else 0
        return seen[cut][0] if cut else 0

    def state(self) -> dict[str, Any]:
        """The blocks beside the sums, as JSON types."""
        blocks = [_numbers(block) for block in (*self._blocks, self._open)]
        return {**super().state(), "watches": "confidences", "changes": self.changes, "blocks": blocks}

    def restore(self, state: dict[str, Any], policy: str) -> None:
        """Go on from `state`, bit-identically.

        Raises:
            PolicyFileError: it forgot in another way, another number of cells, or no numbers.
        """
        saved.check_same(state, "watches", "confidences", policy)
        changes, rows = saved.number(state, "changes", policy, least=0.0), state.get("blocks")
        if not isinstance(rows, list) or not rows:
            raise PolicyFileError(f"saved state of policy {policy!r}: blocks must be lists of numbers")
        blocks = [self._read(row, policy) for row in rows]
        super().restore(state, policy)
        self.changes, self._open, self._blocks = int(changes), blocks.pop(), blocks

    def _read(self, row: Any, policy: str) -> Block:
        cells, width = self._sums.size, len(self._exits)
        numbers = saved.numbers({"blocks": row}, "blocks", 1 + cells + 3 * width, policy, least=0.0)
        sums, first = np.array(numbers[1 : 1 + cells]), np.array(numbers[1 + cells :])
        return Block(numbers[0], sums.reshape(self._sums.shape), first.reshape(3, width))


def _numbers(block: Block) -> list[float]:
    return [block.frames, *block.sums.ravel().tolist(), *block.first.ravel().tolist()]


def _merge(blocks: list[Block]) -> None:
    """Merge the two oldest of a size that there are too many of, from the newest size up."""
    size = float(BLOCK)
    while len(same := [place for place, block in enumerate(blocks) if block.frames == size]) > PER_SIZE:
        older, newer = blocks[same[0]], blocks.pop(same[1])
        older.frames += newer.frames
        older.sums = older.sums + newer.sums
        older.first = older.first + newer.first
        size *= 2.0
