"""EXP3: weights that grow with rewards divided by the probability of the choice that earned them."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from bandits import params, saved
from split_core.errors import PolicyFileError

# Choices whose reward is still to come, per arm.  Replies that are lost leave one behind each.
MOST_PENDING = 64


class Exp3:
    """p = (1 - gamma) * w / (sum of w) + gamma / allowed; the played arm's w then grows by exp(gamma x / (p A)).

    x is the reward, scaled from `range` into [0, 1].  It assumes nothing of how rewards come about, and pays for that:
    where arms have means, every other index is better.  There are no counts to forget.

    Only rewards of choices count: what is observed beside them came with a probability that the bandit does not
    know.  A reward belongs to the oldest choice of its arm that has none yet.

    Source: Auer, Cesa-Bianchi, Freund and Schapire 2002, "The nonstochastic multiarmed bandit problem", where all
    arms are allowed.

    Args:
        arms: how many.
        rng: draws; its state is saved.
        gamma: share of choices that are drawn uniformly, and the rate of learning.
        range: lowest and highest reward.

    Raises:
        ConfigError: out of its range.
    """

    def __init__(
        self, *, arms: int, rng: np.random.Generator, gamma: float = 0.1, range: Sequence[float] = (-1.0, 1.0)
    ) -> None:
        self._rng, self._gamma = rng, params.number("gamma", gamma, 0.001, 1.0)
        self._low, high = params.interval("range", range)
        self._span = high - self._low
        self._logs = [0.0] * arms  # logarithms of the weights
        self._pending: list[list[float]] = [[] for _ in [None] * arms]
        self._last = 1.0  # probability of the last choice

    def probabilities(self, allowed: Sequence[int]) -> list[float]:
        """Of each of `allowed`."""
        logs = [self._logs[arm] for arm in allowed]
        top = max(logs)
        weights = [math.exp(log - top) for log in logs]
        share, even = (1.0 - self._gamma) / sum(weights), self._gamma / len(weights)
        return [share * weight + even for weight in weights]

    def choose(self, allowed: Sequence[int]) -> int:
        """Draw one of `allowed`."""
        chances = self.probabilities(allowed)
        steps = list(accumulate(chances))
        place = min(bisect_right(steps, self._rng.random() * steps[-1]), len(steps) - 1)
        self._last = chances[place]
        waiting = self._pending[allowed[place]]
        waiting.append(self._last)
        del waiting[:-MOST_PENDING]
        return allowed[place]

    def propensity(self, arm: int, allowed: Sequence[int]) -> float:
        """Probability with which the last `choose(allowed)` gave `arm`, the arm that it gave."""
        return self._last

    def update(self, arm: int, reward: float) -> None:
        """One reward of `arm`; nothing, when no choice of this arm waits for one."""
        if self._pending[arm]:
            gain = min(1.0, max(0.0, (reward - self._low) / self._span))
            self._logs[arm] += self._gamma * gain / (self._pending[arm].pop(0) * len(self._logs))

    def state(self) -> dict[str, Any]:
        """Weights, probabilities of choices that wait, and the generator, as JSON types."""
        return {
            "logs": list(self._logs),
            "pending": [list(waiting) for waiting in self._pending],
            "generator": dict(self._rng.bit_generator.state),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`, bit-identically.

        Raises:
            PolicyFileError: another number of arms, no numbers, or another kind of generator; nothing is changed.
        """
        logs, rows = saved.numbers(state, "logs", len(self._logs), "exp3", least=0.0), state.get("pending")
        if not isinstance(rows, list) or len(rows) != len(logs):
            raise PolicyFileError(f"saved state of policy 'exp3': pending must be {len(logs)} lists of numbers")
        pending = [_probabilities(row) for row in rows]
        saved.restore_generator(self._rng, state, "exp3")
        self._logs, self._pending = logs, pending


def _probabilities(row: Any) -> list[float]:
    count = min(len(row), MOST_PENDING) if isinstance(row, list) else 0
    found = saved.numbers({"pending": row}, "pending", count, "exp3", least=0.0)
    if not all(0.0 < chance <= 1.0 for chance in found):
        raise PolicyFileError("saved state of policy 'exp3': pending must be probabilities above 0")
    return found
