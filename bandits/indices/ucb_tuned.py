"""UCB1-Tuned: UCB1 whose width shrinks with the variance of an arm's rewards."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bandits import params
from bandits.indices.index import Index
from bandits.indices.statistics import Statistics


class UcbTuned(Index):
    """Q + c * sqrt(ln t / N * min(b^2 / 4, V + b^2 * sqrt(2 ln t / N))), b the rewards' range.

    No regret bound is proven; in experiments it is hard to beat.

    Source: Auer, Cesa-Bianchi and Fischer 2002, section 4, where b = c = 1.

    Args:
        c: exploration weight.
        range: lowest and highest reward.

    Raises:
        ConfigError: out of its range.
    """

    reads_variance = True

    def __init__(self, *, c: float = 1.0, range: Sequence[float] = (-1.0, 1.0)) -> None:
        self._c = params.number("c", c, 0.0, 100.0)
        low, high = params.interval("range", range)
        self._b_squared = (high - low) ** 2

    def values(self, statistics: Statistics, allowed: Sequence[int]) -> list[float]:
        """See `Index`."""
        root_log = math.sqrt(statistics.log_choices() * statistics.weight)
        mean, root, variance = statistics.mean, statistics.root, statistics.variance
        width, most, spread = self._c * root_log, self._b_squared / 4.0, self._b_squared * math.sqrt(2.0) * root_log
        values = []
        for arm in allowed:
            bound = variance[arm] + spread * root[arm]
            values.append(mean[arm] + width * root[arm] * math.sqrt(bound if bound < most else most))
        return values
