"""What every index is: a function of the statistics of arms, of which the highest is played."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from bandits.indices.statistics import Statistics
from split_core.chance import Chance, probability


class Index:
    """Ranks arms.  A new one defines `values` and gets a line in `bandits.indices.INDICES`.

    The bandit plays every arm once before it asks, so all arms that come here are tried.

    Attributes:
        reads_variance: whether it needs the squares of rewards, which not every policy has.
    """

    reads_variance: ClassVar[bool] = False

    def values(self, statistics: Statistics, allowed: Sequence[int]) -> list[float]:
        """The index of each of `allowed`, in rewards; for a rule that draws, one draw of each."""
        raise NotImplementedError

    def choose(self, statistics: Statistics, allowed: Sequence[int]) -> int:
        """The arm with the highest index; ties to the lowest arm."""
        values = self.values(statistics, allowed)
        return allowed[values.index(max(values))]

    def chance(self, arm: int, allowed: Sequence[int]) -> Chance:
        """Probability with which the last `choose` gave `arm`, also when worked out later: 1 unless the rule draws."""
        return 1.0

    def propensity(self, arm: int, allowed: Sequence[int]) -> float:
        """`chance`, worked out now."""
        return probability(self.chance(arm, allowed))

    def state(self) -> dict[str, Any]:
        """What the rule itself must save: nothing unless it draws."""
        return {}

    def restore(self, state: Mapping[str, Any], policy: str) -> None:
        """Go on from `state`.

        Raises:
            PolicyFileError: no such state.
        """
