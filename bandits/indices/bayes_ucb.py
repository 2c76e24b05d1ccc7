"""Bayes-UCB: a quantile of the posterior of each arm's mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from bandits import params
from bandits.indices.index import Index
from bandits.indices.statistics import Statistics

NORMAL = NormalDist()


class BayesUcb(Index):
    """The 1 - 1/t quantile of N(Q, c^2 / N): the posterior of a Gaussian reward of deviation c, flat prior.

    The paper's Bernoulli case needs an inverse incomplete beta function per arm and choice, and rewards
    here are not Bernoulli; for rewards that nearly are, take `kl_ucb`, which is as tight.

    Sources: Kaufmann, Cappe and Garivier 2012, "On Bayesian upper confidence bounds for bandit problems"; Kaufmann
    (arXiv 1601.01190) proves it asymptotically optimal for every exponential family of one parameter, as this is.

    Args:
        c: standard deviation of a reward; 1/2 covers every reward within an interval of length 1.

    Raises:
        ConfigError: out of its range.
    """

    def __init__(self, *, c: float = 0.5) -> None:
        self._c = params.number("c", c, 0.0, 100.0)

    def values(self, statistics: Statistics, allowed: Sequence[int]) -> list[float]:
        """See `Index`."""
        # The upper quantile by symmetry: 1 - 1/t would round to 1.
        choices = max(2.0, statistics.choices / statistics.weight)
        width = -self._c * NORMAL.inv_cdf(1.0 / choices) * math.sqrt(statistics.weight)
        mean, root = statistics.mean, statistics.root
        return [mean[arm] + width * root[arm] for arm in allowed]
