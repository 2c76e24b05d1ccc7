"""UCB1: the mean, and a width that knows only how often an arm was seen."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bandits import params
from bandits.indices.index import Index
from bandits.indices.statistics import Statistics


class Ucb1(Index):
    """Q + c * sqrt(ln t / N).

    Sources: Auer, Cesa-Bianchi and Fischer 2002, with c = sqrt(2) for rewards within an interval of length 1; the
    SplitEE family plays c = 1.

    Args:
        c: exploration weight, in rewards.  Gaps of .0005-.008, which threshold arms have, need about .1.

    Raises:
        ConfigError: out of its range.
    """

    def __init__(self, *, c: float = math.sqrt(2.0)) -> None:
        self._c = params.number("c", c, 0.0, 100.0)

    def values(self, statistics: Statistics, allowed: Sequence[int]) -> list[float]:
        """See `Index`."""
        width = self._c * math.sqrt(statistics.log_choices() * statistics.weight)
        mean, root = statistics.mean, statistics.root
        return [mean[arm] + width * root[arm] for arm in allowed]
