"""Has a mean changed?  Two tests of one kind, for outcomes in [0, 1], that may be looked at for ever.

`Exceeds` knows the limit that a mean must keep; `MeanChange` knows nothing and compares before with after.  Both bet,
as `bandits.confidence_sequence` does, anew at the beginning of every block of outcomes: a stream that was good for
a year does not hide a bad day.  All stakes together are 1, the later ones the smaller, so the chance that a stream
without a change *ever* raises an alarm is alpha at most: not per window, and not per month.  Later changes are found
later, by the logarithm of their time.

Not all beginnings are remembered: of every size of stretch a few, so the state is some dozens of numbers whatever the
length of the stream (as in ADWIN).  To forget a bet is to lose it, which raises no alarm.

Sources: J. Shin, A. Ramdas, A. Rinaldo, E-detectors (2023), for bets begun at all times; L. Besson, E. Kaufmann, O.-A.
Maillard, J. Seznec, Efficient change-point detection for tackling piecewise-stationary bandits (JMLR, 2022), for the
statistic of `MeanChange`, here with a mixture over both means in the place of the greatest likelihood; A. Bifet,
R. Gavalda, Learning from time-changing data with adaptive windowing (2007), for the stretches.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bandits import saved
from bandits.confidence_sequence import evidence
from split_core.errors import PolicyFileError

BLOCK = 16  # outcomes between two beginnings, and two looks
ALL_STAKES = 2.11  # sum of 1 / (k ln^2 k) from 2 on, 2.1097...
PER_SIZE = 4  # stretches of each size; the next one makes one of the two oldest


@dataclass(slots=True)
class Stretch:
    """Outcomes that followed each other: how many blocks, and sums of weights and of outcomes."""

    blocks: int
    count: float
    total: float


@dataclass(frozen=True, slots=True)
class Since:
    """All outcomes from a moment on.

    Attributes:
        block: of the moment, from 0.
        outcomes: since.
        count, total: sums of weights and of outcomes since.
    """

    block: int
    outcomes: int
    count: float
    total: float

    @property
    def penalty(self) -> float:
        """What the bet begun there has too little: -ln of its stake, 1 / (2.11 k ln^2 k) with k = block + 2."""
        k = self.block + 2
        return math.log(ALL_STAKES * k * math.log(k) ** 2)


class Past:
    """A stream as stretches that are the longer the older they are.

    Args:
        block: outcomes between two beginnings.

    Attributes:
        blocks: whole ones so far.
    """

    def __init__(self, block: int = BLOCK) -> None:
        self.blocks, self._block = 0, block
        self._stretches: list[Stretch] = []
        self._open, self._count, self._total = 0, 0.0, 0.0

    def add(self, outcome: float, weight: float = 1.0) -> bool:
        """Take in one outcome; True when a block is full."""
        self._open += 1
        self._count += weight
        self._total += weight * outcome
        if self._open < self._block:
            return False
        self._stretches.append(Stretch(1, self._count, self._total))
        self._open, self._count, self._total = 0, 0.0, 0.0
        self.blocks += 1
        self._merge()
        return True

    def _merge(self) -> None:
        size, end = 1, len(self._stretches)
        while True:
            same = [i for i in range(end) if self._stretches[i].blocks == size]
            if len(same) <= PER_SIZE:
                return
            older, newer = self._stretches[same[0]], self._stretches.pop(same[1])
            older.blocks += newer.blocks
            older.count += newer.count
            older.total += newer.total
            size, end = 2 * size, same[0] + 1

    def since(self) -> Iterator[Since]:
        """From each beginning that is remembered, the newest first; blocks that are full only."""
        block, count, total = self.blocks, 0.0, 0.0
        for stretch in reversed(self._stretches):
            block -= stretch.blocks
            count += stretch.count
            total += stretch.total
            yield Since(block, (self.blocks - block) * self._block, count, total)

    def state(self) -> dict[str, Any]:
        """As JSON types."""
        stretches = [[one.blocks, one.count, one.total] for one in self._stretches]
        return {"open": [self._open, self._count, self._total], "stretches": stretches}

    def restore(self, state: dict[str, Any], policy: str) -> None:
        """Go on from `state`, bit-identically.

        Raises:
            PolicyFileError: no such state.
        """
        rows = state.get("stretches")
        if not isinstance(rows, list):
            raise PolicyFileError(f"saved state of policy {policy!r}: stretches must be a list")
        read = [saved.numbers({"stretches": row}, "stretches", 3, policy, least=0.0) for row in rows]
        begun = saved.numbers(state, "open", 3, policy, least=0.0)
        self._stretches = [Stretch(int(blocks), count, total) for blocks, count, total in read]
        self.blocks = sum(one.blocks for one in self._stretches)
        self._open, self._count, self._total = int(begun[0]), begun[1], begun[2]


class Exceeds:
    """Proves that a mean is above a limit, since whenever.

    It bets on means above the limit only, so it is right for any stream, dependent or not, in which no outcome
    had a mean above the limit given those before it.

    Args:
        limit: in (0, 1).
        alpha: chance of an alarm, ever, while the limit is kept.

    Attributes:
        alarm: the stretch that proves it; None so far.
        value: how strongly the best stretch speaks against the limit, in units of `threshold`.
        threshold: -ln alpha.
    """

    def __init__(self, limit: float, alpha: float) -> None:
        self.threshold = math.log(1.0 / alpha)
        means = _above(limit)
        self._odds = [(math.log(mean / limit), math.log((1 - mean) / (1 - limit))) for mean in means]
        self._past = Past()
        self.alarm: Since | None = None
        self.value = 0.0

    def add(self, outcome: float, weight: float = 1.0) -> bool:
        """Take in one outcome; True when it is proved from now on.  Weights as in `ConfidenceSequence.add`."""
        if not self._past.add(outcome, weight) or self.alarm:
            return False
        best = max(self._past.since(), key=self._evidence)
        self.value = self._evidence(best)
        self.alarm = best if self.value >= self.threshold else None
        return self.alarm is not None

    def _evidence(self, since: Since) -> float:
        hits, misses = since.total, since.count - since.total
        bets = [hits * for_hit + misses * for_miss for for_hit, for_miss in self._odds]
        highest = max(bets)
        grown = math.log(sum(math.exp(bet - highest) for bet in bets) / len(bets))
        return highest + grown - since.penalty

    def state(self) -> dict[str, Any]:
        """As JSON types; an alarm is not in it: whoever acted upon it knows."""
        return self._past.state()

    def restore(self, state: dict[str, Any], policy: str) -> None:
        """Go on from `state`; PolicyFileError when it is none."""
        self._past.restore(state, policy)


def _above(limit: float) -> list[float]:
    """Means to bet on: from a fifth more than the limit, in steps of the square root of 2, to nearly 1."""
    if not 0.0 < limit < 1.0:
        raise ValueError(f"limit must be between 0 and 1, got {limit}")
    odds = 1.2 * limit / (1.0 - limit)
    means: list[float] = []
    while odds < 30.0 or not means:
        means.append(odds / (1.0 + odds))
        odds *= math.sqrt(2.0)
    return means


class MeanChange:
    """Proves that a mean is not what it was, since whenever; then begins anew with what came since.

    Right for outcomes whose mean given those before is always the same, whatever it is.

    Args:
        alpha: chance of an alarm, ever, from one beginning on, while nothing changes.
        block: outcomes between two looks; a look costs some 60 us.

    Attributes:
        changes: alarms so far.
    """

    def __init__(self, alpha: float, block: int = BLOCK) -> None:
        self._threshold, self._block = math.log(1.0 / alpha), block
        self._past, self.changes = Past(block), 0

    def add(self, outcome: float) -> Since | None:
        """Take in one outcome; what came since a change, when one is proved now."""
        if not self._past.add(outcome):
            return None
        *later, whole = self._past.since()
        if not later:
            return None
        best = max(later, key=lambda since: _two_means(whole, since))
        if _two_means(whole, best) < self._threshold:
            return None
        self._past, self.changes = Past(self._block), self.changes + 1
        return best

    def state(self) -> dict[str, Any]:
        """As JSON types."""
        return {"changes": self.changes, **self._past.state()}

    def restore(self, state: dict[str, Any], policy: str) -> None:
        """Go on from `state`; PolicyFileError when it is none."""
        changes = int(saved.number(state, "changes", policy, least=0.0))
        self._past.restore(state, policy)
        self.changes = changes


def _two_means(whole: Since, since: Since) -> float:
    """How much better two means explain the stream than the one mean that explains it best, less the penalty."""
    mean = min(1.0 - 1e-12, max(1e-12, whole.total / whole.count))
    before = evidence(whole.count - since.count, max(0.0, whole.total - since.total), mean)
    return before + evidence(since.count, since.total, mean) - since.penalty
