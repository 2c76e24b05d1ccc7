"""UCB1 over arm indices, optionally with forgetting.

Plain lists, not numpy: at the 10-60 arms of a device one pass over two lists costs less than three numpy
calls (benchmarks/bandit_speed.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bandits import saved

# Weights grow by 1/discount per choice; rescale long before a float loses digits.
RESCALE_ABOVE = 1e12


class Ucb:
    """Plays the arm with the highest Q + c * sqrt(ln t / N); every arm once first; ties to the lowest index.

    Sources: Auer et al. 2002 with c = sqrt(2); the SplitEE family plays c = 1.  With discount < 1, N, Q and t
    are discounted sums (Garivier and Moulines 2008, D-UCB).

    Args:
        arms: how many.
        c: exploration weight, for rewards that differ by about 1.  Gaps of .0005-.008, which threshold arms
            have, need about .1.
        discount: weight of an observation that is one choice older; 1 never forgets.
    """

    def __init__(self, arms: int, *, c: float, discount: float = 1.0) -> None:
        self._c, self._discount = c, discount
        self._pulls = [0.0] * arms  # in units of self._weight, as are the sums
        self._sums = [0.0] * arms
        self._mean = [0.0] * arms  # derived: Q
        self._width = [0.0] * arms  # derived: 1 / sqrt(pulls)
        self._untried = arms
        self._choices = 0.0  # t: choices so far, discounted like the pulls
        # An observation made now weighs this much.  Growing the newest instead of shrinking all others
        # makes forgetting O(1).
        self._weight = 1.0

    def choose(self, allowed: Sequence[int]) -> int:
        """The arm to play now, of `allowed` (ascending)."""
        arm = self._first_untried(allowed) if self._untried else -1
        if arm < 0:
            arm = self._highest_index(allowed)
        self._weight /= self._discount
        self._choices += self._weight
        if self._weight > RESCALE_ABOVE:
            self._rescale()
        return arm

    def propensity(self, arm: int, allowed: Sequence[int]) -> float:
        """1: the rule is deterministic."""
        return 1.0

    def update(self, arm: int, reward: float) -> None:
        """One reward of `arm`."""
        if self._pulls[arm] == 0.0:
            self._untried -= 1
        self._pulls[arm] += self._weight
        self._sums[arm] += self._weight * reward
        self._derive(arm)

    def pulls(self) -> list[float]:
        """N of every arm: rewards taken in, discounted."""
        return [pulls / self._weight for pulls in self._pulls]

    def means(self) -> list[float]:
        """Q of every arm; 0 where nothing was observed."""
        return list(self._mean)

    def indices(self) -> list[float]:
        """The index of every arm; +inf where nothing was observed."""
        scale = self._scale()
        return [
            mean + scale * width if pulls else math.inf
            for mean, width, pulls in zip(self._mean, self._width, self._pulls, strict=True)
        ]

    def state(self) -> dict[str, Any]:
        """Pulls, sums and weights, as JSON types."""
        return {
            "pulls": list(self._pulls),
            "sums": list(self._sums),
            "choices": self._choices,
            "weight": self._weight,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`, bit-identically.

        Raises:
            PolicyFileError: another number of arms, or no numbers.
        """
        count = len(self._pulls)
        pulls = saved.numbers(state, "pulls", count, "ucb", least=0.0)
        sums = saved.numbers(state, "sums", count, "ucb")
        choices = saved.number(state, "choices", "ucb", least=0.0)
        weight = saved.number(state, "weight", "ucb", least=1.0)
        self._pulls, self._sums, self._choices, self._weight = pulls, sums, choices, weight
        self._derive_all()

    def _derive_all(self) -> None:
        self._untried = self._pulls.count(0.0)
        for arm in range(len(self._pulls)):
            self._derive(arm)

    def _derive(self, arm: int) -> None:
        pulls = self._pulls[arm]
        self._mean[arm] = self._sums[arm] / pulls if pulls else 0.0
        self._width[arm] = 1.0 / math.sqrt(pulls) if pulls else 0.0

    def _first_untried(self, allowed: Sequence[int]) -> int:
        return next((arm for arm in allowed if self._pulls[arm] == 0.0), -1)

    def _highest_index(self, allowed: Sequence[int]) -> int:
        scale, mean, width = self._scale(), self._mean, self._width
        best, highest = allowed[0], -math.inf
        for arm in allowed:
            index = mean[arm] + scale * width[arm]
            if index > highest:
                best, highest = arm, index
        return best

    def _scale(self) -> float:
        """What 1 / sqrt(weighted pulls) is multiplied by: c * sqrt(ln t * weight)."""
        return self._c * math.sqrt(math.log(max(1.0, self._choices / self._weight)) * self._weight)

    def _rescale(self) -> None:
        weight, self._weight = self._weight, 1.0
        self._choices /= weight
        self._pulls = [pulls / weight for pulls in self._pulls]
        self._sums = [sums / weight for sums in self._sums]
        self._derive_all()
