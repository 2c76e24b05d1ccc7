"""Thompson sampling: play the arm that is best in one draw of all posteriors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from bandits import params, saved
from bandits.indices.index import Index
from bandits.indices.normal import chance_of_highest
from bandits.indices.statistics import Statistics
from split_core.chance import Chance


class Thompson(Index):
    """One draw of N(Q, c^2 / N) per arm: the posterior of a Gaussian reward of deviation c, flat prior.

    The propensity is the probability that this arm's draw is the highest, as an integral, not by sampling.  It is
    worked out only where somebody reads it, from the posteriors of that draw.

    Sources: Thompson 1933; Agrawal and Goyal 2013, "Further optimal regret bounds for Thompson sampling", Gaussian
    case (there N + 1 for N, with c = 1); the same posterior as `bayes_ucb`.

    Args:
        rng: draws; its state is saved.
        c: standard deviation of a reward; 1/2 covers every reward within an interval of length 1.

    Raises:
        ConfigError: out of its range.
    """

    def __init__(self, *, rng: np.random.Generator, c: float = 0.5) -> None:
        self._rng, self._c = rng, params.number("c", c, 0.0, 100.0)
        self._means: list[float] = []  # of the last draw, in the order of the arms that were allowed
        self._deviations: list[float] = []

    def values(self, statistics: Statistics, allowed: Sequence[int]) -> list[float]:
        """One draw of each."""
        mean, root, width = statistics.mean, statistics.root, self._c * math.sqrt(statistics.weight)
        self._means, self._deviations = [mean[arm] for arm in allowed], [width * root[arm] for arm in allowed]
        drawn = self._rng.standard_normal(len(allowed)).tolist()
        return [q + s * z for q, s, z in zip(self._means, self._deviations, drawn, strict=True)]

    def chance(self, arm: int, allowed: Sequence[int]) -> Chance:
        """Probability that the last draw would give `arm`."""
        return partial(chance_of_highest, allowed.index(arm), self._means, self._deviations)

    def state(self) -> dict[str, Any]:
        """State of the generator."""
        return {"generator": dict(self._rng.bit_generator.state)}

    def restore(self, state: Mapping[str, Any], policy: str) -> None:
        """See `Index`."""
        saved.restore_generator(self._rng, state, policy)
