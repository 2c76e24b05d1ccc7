"""UCB-V: a width that knows the variance of an arm's rewards."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bandits import params
from bandits.indices.index import Index
from bandits.indices.statistics import Statistics

# The paper's zeta; above 1 its regret is logarithmic.
ZETA = 1.2


class UcbV(Index):
    """Q + sqrt(2 V E / N) + 3 b E / N, with E = 1.2 c^2 ln t, V the empirical variance and b the rewards' range.

    Source: Audibert, Munos and Szepesvari 2009, "Exploration-exploitation tradeoff using variance estimates in
    multi-armed bandits", where c = 1.

    Args:
        c: exploration weight; the width at large N grows in proportion to it.
        range: lowest and highest reward.

    Raises:
        ConfigError: out of its range.
    """

    reads_variance = True

    def __init__(self, *, c: float = 1.0, range: Sequence[float] = (-1.0, 1.0)) -> None:
        self._zeta = ZETA * params.number("c", c, 0.0, 100.0) ** 2
        low, high = params.interval("range", range)
        self._three_b = 3.0 * (high - low)

    def values(self, statistics: Statistics, allowed: Sequence[int]) -> list[float]:
        """See `Index`."""
        explore = self._zeta * statistics.log_choices() * statistics.weight
        mean, root, variance = statistics.mean, statistics.root, statistics.variance
        twice, three_b = 2.0 * explore, self._three_b * explore
        return [mean[arm] + root[arm] * (math.sqrt(twice * variance[arm]) + three_b * root[arm]) for arm in allowed]
