"""KL-UCB: the highest mean that the rewards of an arm do not yet rule out."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bandits import params
from bandits.indices.index import Index
from bandits.indices.statistics import Statistics

# Newton's method needs 3 to 6 steps; more would be an error of ours, and must not hang a camera.
MOST_STEPS = 60
CLOSE = 1e-13


class KlUcb(Index):
    """The largest q with N * d(Q, q) <= c^2 ln t, with d the divergence of Bernoulli variables.

    Rewards are scaled from `range` into [0, 1]; means outside are taken at its ends.  Of all rewards within a range
    Bernoulli ones vary most, so the bound holds for any.

    Source: Garivier and Cappe 2011, "The KL-UCB algorithm for bounded stochastic bandits and beyond", with c = 1
    and without the term in ln ln t, as they recommend for use.

    Args:
        arms: how many.
        c: exploration weight; the width grows about in proportion to it.
        range: lowest and highest reward.

    Raises:
        ConfigError: out of its range.
    """

    def __init__(self, *, arms: int, c: float = 1.0, range: Sequence[float] = (-1.0, 1.0)) -> None:
        self._c_squared = params.number("c", c, 0.0, 100.0) ** 2
        self._low, high = params.interval("range", range)
        self._span = high - self._low
        # What follows from a mean is kept until it changes.
        self._means = [math.nan] * arms
        self._scaled, self._entropies = [0.0] * arms, [0.0] * arms

    def values(self, statistics: Statistics, allowed: Sequence[int]) -> list[float]:
        """See `Index`."""
        self._scale(statistics, allowed)
        budget, pulls, scaled = self._budget(statistics), statistics.pulls, self._scaled
        return [self._low + self._span * highest_mean(scaled[arm], budget / pulls[arm]) for arm in allowed]

    def choose(self, statistics: Statistics, allowed: Sequence[int]) -> int:
        """The arm with the highest index, of which few are worked out.

        An arm is above q when N * d(Q, q) < c^2 ln t: one divergence, of logarithms that are known.  The first q
        is that of the arm with the highest bound by Pinsker, mostly the right one.
        """
        self._scale(statistics, allowed)
        budget, pulls, scaled, entropies = self._budget(statistics), statistics.pulls, self._scaled, self._entropies
        width, root = math.sqrt(budget / 2.0), statistics.root
        guesses = [scaled[arm] + width * root[arm] for arm in allowed]
        best = allowed[guesses.index(max(guesses))]
        q, log_q, log_rest = _with_logs(highest_mean(scaled[best], budget / pulls[best]))
        for arm in allowed:
            mean = scaled[arm]
            if mean > q or pulls[arm] * (entropies[arm] - mean * log_q - (1.0 - mean) * log_rest) < budget:
                higher = highest_mean(mean, budget / pulls[arm])
                if higher > q:
                    best, (q, log_q, log_rest) = arm, _with_logs(higher)
        return best

    def _budget(self, statistics: Statistics) -> float:
        """c^2 ln t, in units of the pulls."""
        return self._c_squared * statistics.log_choices() * statistics.weight

    def _scale(self, statistics: Statistics, allowed: Sequence[int]) -> None:
        known, mean = self._means, statistics.mean
        for arm in allowed:
            if known[arm] != mean[arm]:
                known[arm] = mean[arm]
                self._scaled[arm] = min(1.0, max(0.0, (mean[arm] - self._low) / self._span))
                self._entropies[arm] = _entropy(self._scaled[arm])


def highest_mean(mean: float, level: float) -> float:
    """The largest q in [mean, 1] with d(mean, q) <= level.

    d is convex in q, so Newton's method comes down to the root from any point above it: the lower of
    Pinsker's bound and of the one from -(1 - mean) ln(1 - q) <= d - entropy.
    """
    if level <= 0.0 or mean >= 1.0:
        return mean
    entropy = _entropy(mean)
    q = min(mean + math.sqrt(level / 2.0), -math.expm1((entropy - level) / (1.0 - mean)))
    for _ in range(MOST_STEPS):
        if q >= 1.0:
            return 1.0
        above = entropy - mean * math.log(q) - (1.0 - mean) * math.log1p(-q) - level
        step = above * q * (1.0 - q) / (q - mean) if q > mean else 0.0
        q -= step
        if step < CLOSE:
            break
    return max(mean, q)


def _entropy(mean: float) -> float:
    """Minus the entropy of a Bernoulli variable, in nats."""
    if mean <= 0.0 or mean >= 1.0:
        return 0.0
    return mean * math.log(mean) + (1.0 - mean) * math.log1p(-mean)


def _with_logs(q: float) -> tuple[float, float, float]:
    """q, and logarithms of q and 1 - q that may be multiplied by 0."""
    return q, math.log(q) if q > 0.0 else -1e300, math.log1p(-q) if q < 1.0 else -1e300
