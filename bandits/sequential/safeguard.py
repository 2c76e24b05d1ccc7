"""What keeps learning from costing much: a budget for looking around, and a watch over what deciding really earned.

Some policies need no learning: ship from the first depth that may, or run the whole network.  Playing must beat them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bandits import saved

# Frames that must have been played before their mean is held against playing.
LEAST_FRAMES = 50.0
# Older frames count for half when so many are in the mean.
MEMORY = 2000.0
# What may be spent in any case, of all that was paid: frames may change.
FLOOR = 0.0005
# The first frames are free where looking costs at most so much more than a frame does anyhow.
FREE = 2.0
# A known loss that changed by more than this share is another world: what was earned before says nothing.
SAME_WORLD = 0.05


class Budget:
    """Looking around may cost a share of all that was paid, after a first few frames that are free.

    Args:
        first: frames that are looked at whole, whatever it costs.
        share: of everything paid.
    """

    def __init__(self, first: int, share: float) -> None:
        self._first, self._share = first, share
        self.looked = self.spent = self.paid = 0.0

    def allows(self, excess: float, most: float) -> bool:
        """May `excess` be spent on learning from this frame?  `most` scales the share."""
        if excess == math.inf:
            return False
        return self.spent < most * (self._share * math.sqrt(self.paid * max(0.0, excess)) + FLOOR * self.paid)

    def free(self, excess: float, best: float) -> bool:
        """Is this one of the first frames?  None is where looking costs several times what a frame does anyhow."""
        return self.looked < self._first and excess <= FREE * best

    def look(self, excess: float) -> None:
        """One frame was looked at, and cost `excess` more than it had to; the first ones are forgiven."""
        self.looked += 1.0
        if self.looked > self._first:
            self.spend(excess)

    def reopen(self) -> None:
        """Begin anew: the first frames are free again."""
        self.looked = self.spent = self.paid = 0.0

    def spend(self, excess: float) -> None:
        """One frame was played although that is expected to cost `excess` more."""
        self.spent += max(0.0, excess)

    def state(self) -> dict[str, float]:
        """As JSON types."""
        return {"looked": self.looked, "spent": self.spent, "paid": self.paid}

    def restore(self, state: Mapping[str, Any], policy: str) -> None:
        """Go on from `state`.

        Raises:
            PolicyFileError: it is none.
        """
        found = [saved.number(state, name, policy, least=0.0) for name in ("looked", "spent", "paid")]
        self.looked, self.spent, self.paid = found


class Watch:
    """Mean excess of what was played over what was known, the newest few thousand frames.

    Args:
        deviations: how many standard errors above 0 are harm.
    """

    def __init__(self, deviations: float) -> None:
        self._deviations = deviations
        self._frames = self._sum = self._squares = self._known = 0.0

    def take(self, loss: float, known: float) -> None:
        """One frame was played and lost `loss`; the better known policy would have lost `known`."""
        if abs(known - self._known) > SAME_WORLD * self._known:
            self.forget()
            self._known = known
        excess = loss - known
        self._frames += 1.0
        self._sum += excess
        self._squares += excess * excess
        if self._frames > MEMORY:
            self._frames, self._sum, self._squares = self._frames / 2, self._sum / 2, self._squares / 2

    def forget(self) -> None:
        """Begin anew."""
        self._frames = self._sum = self._squares = 0.0

    @property
    def mean(self) -> float:
        """Mean excess; there must have been a frame."""
        return self._sum / self._frames

    def harmful(self) -> bool:
        """Has playing cost more than it is worth?"""
        if self._frames < LEAST_FRAMES:
            return False
        mean = self.mean
        variance = max(self._squares / self._frames - mean * mean, 1e-6)
        return mean > self._deviations * math.sqrt(variance / self._frames)

    def state(self) -> dict[str, float]:
        """As JSON types."""
        return {"frames": self._frames, "sum": self._sum, "squares": self._squares, "known": self._known}

    def restore(self, state: Mapping[str, Any], policy: str) -> None:
        """Go on from `state`.

        Raises:
            PolicyFileError: it is none.
        """
        frames = saved.number(state, "frames", policy, least=0.0)
        total = saved.number(state, "sum", policy)
        squares = saved.number(state, "squares", policy, least=0.0)
        self._known = saved.number(state, "known", policy, least=0.0)
        self._frames, self._sum, self._squares = frames, total, squares
