"""What a bandit knows of its arms: how many rewards, their sum and the sum of their squares.

Plain lists, not numpy: at 12 arms faster than three numpy calls, at 60 half as slow again, and any subset of arms
costs nothing more (benchmarks/bandit_speed.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bandits import saved


class Statistics:
    """Sums over the rewards that are remembered; forgetting changes them, indices read them.

    Attributes:
        pulls, sums, squares: per arm, in units of `weight`: N = pulls / weight.
        choices: t, choices that are remembered, in units of `weight`.
        weight: what an observation made now weighs; see `bandits.indices.forgetting.Discount`.
        mean: derived, Q = sums / pulls; 0 where nothing is remembered.
        root: derived, 1 / sqrt(pulls); 0 where nothing is remembered.
        variance: derived, of the rewards that are remembered; 0 where there are none.
        untried: derived, how many arms nothing is remembered of.

    Args:
        arms: how many.
    """

    __slots__ = ("choices", "mean", "pulls", "root", "squares", "sums", "untried", "variance", "weight")

    def __init__(self, arms: int) -> None:
        self.choices, self.weight = 0.0, 1.0
        self.mean, self.root, self.variance = [0.0] * arms, [0.0] * arms, [0.0] * arms
        self.replace([0.0] * arms, [0.0] * arms, [0.0] * arms)

    def add(self, arm: int, reward: float) -> None:
        """One reward of `arm`, made now."""
        if self.pulls[arm] == 0.0:
            self.untried -= 1
        weighted = self.weight * reward
        self.pulls[arm] += self.weight
        self.sums[arm] += weighted
        self.squares[arm] += weighted * reward
        self._derive(arm)

    def replace(self, pulls: list[float], sums: list[float], squares: list[float]) -> None:
        """Remember these instead."""
        self.pulls, self.sums, self.squares = pulls, sums, squares
        self.untried = pulls.count(0.0)
        for arm in range(len(pulls)):
            self._derive(arm)

    def _derive(self, arm: int) -> None:
        pulls = self.pulls[arm]
        if pulls == 0.0:
            self.mean[arm] = self.root[arm] = self.variance[arm] = 0.0
            return
        mean = self.mean[arm] = self.sums[arm] / pulls
        self.root[arm] = 1.0 / math.sqrt(pulls)
        variance = self.squares[arm] / pulls - mean * mean
        self.variance[arm] = variance if variance > 0.0 else 0.0

    def first_untried(self, allowed: Sequence[int]) -> int:
        """The first of `allowed` that nothing is remembered of; -1 when there is none."""
        pulls = self.pulls
        return next((arm for arm in allowed if pulls[arm] == 0.0), -1)

    def log_choices(self) -> float:
        """Ln t, at least 0."""
        return math.log(max(1.0, self.choices / self.weight))

    def state(self) -> dict[str, Any]:
        """Counts and sums, as JSON types."""
        return {
            "pulls": list(self.pulls),
            "sums": list(self.sums),
            "squares": list(self.squares),
            "choices": self.choices,
            "weight": self.weight,
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any], arms: int, policy: str) -> Statistics:
        """As saved, with the same bits.

        Raises:
            PolicyFileError: another number of arms, or no numbers.
        """
        found = cls(arms)
        pulls = saved.numbers(state, "pulls", arms, policy, least=0.0)
        sums = saved.numbers(state, "sums", arms, policy)
        found.replace(pulls, sums, saved.numbers(state, "squares", arms, policy, least=0.0))
        found.choices = saved.number(state, "choices", policy, least=0.0)
        found.weight = saved.number(state, "weight", policy, least=1.0)
        return found
