"""Ways to forget that need no memory of their own: never, and a little with every choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from bandits import params
from bandits.indices.statistics import Statistics

# Weights grow by 1/discount per choice; rescale long before a float loses digits.
RESCALE_ABOVE = 1e12


class Forgetting(Protocol):
    """Decides what `Statistics` hold.  One object serves one bandit."""

    def chose(self, statistics: Statistics) -> None:
        """A choice was made: everything remembered is one choice older."""

    def add(self, statistics: Statistics, arm: int, reward: float) -> None:
        """Take in one reward."""

    def state(self) -> dict[str, Any]:
        """What it keeps beside the statistics, as JSON types."""

    def restored(self, state: Mapping[str, Any], policy: str) -> Forgetting:
        """The same way to forget, as saved.

        Raises:
            PolicyFileError: not a state of this way to forget.
        """


class Keep:
    """Forgets nothing: the stationary setting, as the papers of the indices have it."""

    def chose(self, statistics: Statistics) -> None:
        """See `Forgetting`."""
        statistics.choices += 1.0

    def add(self, statistics: Statistics, arm: int, reward: float) -> None:
        """See `Forgetting`."""
        statistics.add(arm, reward)

    def state(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def restored(self, state: Mapping[str, Any], policy: str) -> Keep:
        """Itself: it keeps nothing."""
        return self


class Discount(Keep):
    """An observation weighs `discount` times less with every choice; counts, sums and t are discounted sums.

    Source: D-UCB, Garivier and Moulines 2011 (arXiv 0805.3415), for any index.

    Args:
        discount: in (0, 1]; .9998 remembers about 5,000 choices, 1 all.

    Raises:
        ConfigError: out of its range.
    """

    def __init__(self, *, discount: float = 0.9998) -> None:
        self._discount = params.discount("discount", discount)

    def chose(self, statistics: Statistics) -> None:
        """Growing the weight of the newest instead of shrinking all others makes this O(1)."""
        statistics.weight /= self._discount
        statistics.choices += statistics.weight
        if statistics.weight > RESCALE_ABOVE:
            _rescale(statistics)


def _rescale(statistics: Statistics) -> None:
    weight, statistics.weight = statistics.weight, 1.0
    statistics.choices /= weight
    lists = (statistics.pulls, statistics.sums, statistics.squares)
    statistics.replace(*([value / weight for value in values] for values in lists))
