"""An index over statistics, with a way to forget: one bandit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bandits import saved
from bandits.indices.forgetting import Forgetting
from bandits.indices.index import Index
from bandits.indices.statistics import Statistics
from split_core.chance import Chance


class IndexBandit:
    """Plays the arm with the highest index; every arm that nothing is remembered of once first.

    Implements `bandits.arms.ArmBandit`.

    Args:
        arms: how many.
        index: ranks them.
        forgetting: decides what is remembered of their rewards.
    """

    def __init__(self, arms: int, index: Index, forgetting: Forgetting) -> None:
        self._statistics, self._index, self._forgetting = Statistics(arms), index, forgetting
        self._kind = [type(index).__name__, type(forgetting).__name__]
        self._was_first = False  # the last choice was an untried arm: no chance in it

    def choose(self, allowed: Sequence[int]) -> int:
        """The arm to play now, of `allowed` (ascending)."""
        statistics = self._statistics
        arm = statistics.first_untried(allowed) if statistics.untried else -1
        self._was_first = arm >= 0
        if arm < 0:
            arm = self._index.choose(statistics, allowed)
        self._forgetting.chose(statistics)
        return arm

    def propensity(self, arm: int, allowed: Sequence[int]) -> Chance:
        """Probability with which the last `choose(allowed)` gave `arm`, also if worked out later; 1 without chance."""
        return 1.0 if self._was_first else self._index.chance(arm, allowed)

    def update(self, arm: int, reward: float) -> None:
        """One reward of `arm`, side observations included; it counts from now, however late it comes."""
        self._forgetting.add(self._statistics, arm, reward)

    def pulls(self) -> list[float]:
        """N of every arm: rewards that are remembered."""
        return [pulls / self._statistics.weight for pulls in self._statistics.pulls]

    def means(self) -> list[float]:
        """Q of every arm; 0 where nothing is remembered."""
        return list(self._statistics.mean)

    def indices(self) -> list[float]:
        """The index of every arm (one draw, for a rule that draws); +inf where nothing is remembered."""
        tried = [arm for arm, pulls in enumerate(self._statistics.pulls) if pulls]
        values = dict(zip(tried, self._index.values(self._statistics, tried), strict=True))
        return [values.get(arm, math.inf) for arm in range(len(self._statistics.pulls))]

    def state(self) -> dict[str, Any]:
        """Statistics, and what index and forgetting keep beside them, as JSON types."""
        kept = {**self._statistics.state(), **self._forgetting.state(), **self._index.state()}
        return {"kind": list(self._kind), **kept}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`, bit-identically.

        Raises:
            PolicyFileError: another number of arms, index or way to forget, or no numbers; nothing is changed.
        """
        policy = self._kind[0]
        saved.check_same(state, "kind", self._kind, policy)
        statistics = Statistics.restored(state, len(self._statistics.pulls), policy)
        forgetting = self._forgetting.restored(state, policy)
        self._index.restore(state, policy)  # last, because it changes the index itself
        self._statistics, self._forgetting = statistics, forgetting
