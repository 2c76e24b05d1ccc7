"""Forgetting by age: only the last choices count."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from bandits import params, saved
from bandits.indices.statistics import Statistics
from split_core.errors import PolicyFileError

# A window is remembered in about so many blocks of choices, and forgets a block at a time: its memory does not
# depend on its length or on how many side observations came.  A window of up to twice as many is exact.
BLOCKS = 32


class Window:
    """Rewards of the last `choices` choices count, the others not at all.

    A long window ends up to one part in 32 earlier: it forgets whole blocks, by adding up those that are left, so
    no error of subtraction builds up.

    Source: SW-UCB, Garivier and Moulines 2011 (arXiv 0805.3415), for any index.

    Args:
        arms: how many.
        choices: the window's length.

    Raises:
        ConfigError: out of its range.
    """

    def __init__(self, *, arms: int, choices: int = 2000) -> None:
        self._arms, self._choices = arms, params.whole("choices", choices, 1, 10_000_000)
        self._length = max(1, choices // BLOCKS)
        self._blocks = deque([_Block(arms)], maxlen=choices // self._length)

    def chose(self, statistics: Statistics) -> None:
        """Start a new block when the newest is full; the oldest falls out behind it."""
        if self._blocks[-1].choices == self._length:
            full = len(self._blocks) == self._blocks.maxlen
            self._blocks.append(_Block(self._arms))
            if full:
                _add_up(self._blocks, statistics)
        self._blocks[-1].choices += 1
        statistics.choices += 1.0

    def add(self, statistics: Statistics, arm: int, reward: float) -> None:
        """See `bandits.indices.forgetting.Forgetting`."""
        statistics.add(arm, reward)
        self._blocks[-1].add(arm, reward)

    def state(self) -> dict[str, Any]:
        """The blocks, oldest first."""
        return {"window": self._choices, "blocks": [block.numbers() for block in self._blocks]}

    def restored(self, state: Mapping[str, Any], policy: str) -> Window:
        """See `bandits.indices.forgetting.Forgetting`."""
        saved.check_same(state, "window", self._choices, policy)
        found, rows = Window(arms=self._arms, choices=self._choices), state.get("blocks")
        most = found._blocks.maxlen or 0
        if not isinstance(rows, list) or not 1 <= len(rows) <= most:
            raise PolicyFileError(f"saved state of policy {policy!r}: blocks must be 1 to {most} lists of numbers")
        blocks = [_Block.of(saved.numbers({"blocks": row}, "blocks", 1 + 3 * self._arms, policy)) for row in rows]
        if min(min(block.pulls) for block in blocks) < 0.0:
            raise PolicyFileError(f"saved state of policy {policy!r}: blocks must not count less than 0 rewards")
        found._blocks.clear()
        found._blocks.extend(blocks)
        return found


class _Block:
    """Sums over the rewards that came during some choices."""

    __slots__ = ("choices", "pulls", "squares", "sums")

    def __init__(self, arms: int) -> None:
        self.choices = 0
        self.pulls, self.sums, self.squares = [0.0] * arms, [0.0] * arms, [0.0] * arms

    def add(self, arm: int, reward: float) -> None:
        self.pulls[arm] += 1.0
        self.sums[arm] += reward
        self.squares[arm] += reward * reward

    def numbers(self) -> list[float]:
        return [self.choices, *self.pulls, *self.sums, *self.squares]

    @classmethod
    def of(cls, numbers: Sequence[float]) -> _Block:
        arms = len(numbers) // 3
        block = cls(arms)
        block.choices = int(numbers[0])
        block.pulls, block.sums = list(numbers[1 : 1 + arms]), list(numbers[1 + arms : 1 + 2 * arms])
        block.squares = list(numbers[1 + 2 * arms :])
        return block


def _add_up(blocks: deque[_Block], statistics: Statistics) -> None:
    statistics.choices = float(sum(block.choices for block in blocks))
    statistics.replace(
        [sum(column) for column in zip(*(block.pulls for block in blocks), strict=True)],
        [sum(column) for column in zip(*(block.sums for block in blocks), strict=True)],
        [sum(column) for column in zip(*(block.squares for block in blocks), strict=True)],
    )
