"""How the joint grid forgets: never, a little with every frame, all that is older than a window, or on a change."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bandits import params, saved
from bandits.indices.build import Choice, named
from bandits.strata import Strata
from bandits.strata_change import ChangingStrata
from split_core.errors import PolicyFileError
from split_core.params import call_with
from split_core.readings import Reading
from split_core.tensors import FloatArray

# A window is remembered in so many blocks, and forgets a block at a time.
BLOCKS = 8


class WindowedStrata(Strata):
    """Strata of the last `choices` frames; between seven eighths of them and all.

    Args:
        exits: K.
        thresholds: ascending.
        choices: the window's length in frames, at least 8.

    Raises:
        ConfigError: out of its range.
    """

    def __init__(self, exits: int, thresholds: Sequence[float], *, choices: int = 5000) -> None:
        super().__init__(exits, thresholds, discount=1.0)
        self._choices = params.whole("choices", choices, BLOCKS, 10_000_000)
        self._full: deque[FloatArray] = deque(maxlen=BLOCKS - 1)  # sums of earlier blocks, oldest first
        self._before = np.zeros_like(self._sums)  # all sums when the newest block began
        self._in_block = 0

    def observe(self, readings: Sequence[Reading], final: float | None, *, ran_to_end: bool) -> None:
        """See `Strata`."""
        if self._in_block == self._choices // BLOCKS:
            self._close_block()
        self._in_block += 1
        super().observe(readings, final, ran_to_end=ran_to_end)

    def _close_block(self) -> None:
        # What a cell did not see in a block is exactly 0 here, and so is the sum of such blocks.
        self._full.append(self._sums - self._before)
        self._sums[:] = np.sum(self._full, axis=0)
        self._before = self._sums.copy()
        self._frames = float(self._in_block * len(self._full))
        self._in_block = 0

    def state(self) -> dict[str, Any]:
        """The blocks beside the sums, as JSON types."""
        blocks = [block.ravel().tolist() for block in (*self._full, self._before)]
        return {**super().state(), "window": self._choices, "in_block": self._in_block, "blocks": blocks}

    def restore(self, state: Mapping[str, Any], policy: str) -> None:
        """Go on from `state`, bit-identically.

        Raises:
            PolicyFileError: another window, another number of cells, or no numbers.
        """
        saved.check_same(state, "window", self._choices, policy)
        rows, in_block = state.get("blocks"), saved.number(state, "in_block", policy, least=0.0)
        if not isinstance(rows, list) or not 1 <= len(rows) <= BLOCKS:
            raise PolicyFileError(f"saved state of policy {policy!r}: blocks must be 1 to {BLOCKS} lists of numbers")
        blocks = [
            np.reshape(saved.numbers({"blocks": row}, "blocks", self._sums.size, policy, least=0.0), self._sums.shape)
            for row in rows
        ]
        super().restore(dict(state), policy)
        self._before, self._in_block = blocks.pop(), int(in_block)
        self._full.clear()
        self._full.extend(blocks)


def _kept(exits: int, thresholds: Sequence[float]) -> Strata:
    return Strata(exits, thresholds, discount=1.0)


def _discounted(exits: int, thresholds: Sequence[float], discount: float) -> Strata:
    return Strata(exits, thresholds, discount=params.discount("discount", discount))


def make_strata(exits: int, thresholds: Sequence[float], *, forget: Choice, discount: float) -> Strata:
    """Strata that forget as the parameters `forget` and `discount` of a policy file say.

    Raises:
        ConfigError: no such way to forget, or a value out of its range.
    """
    how, settings = named("forget", forget)
    ways: dict[str, Callable[..., Strata]] = {
        "none": _kept,
        "discount": _discounted,
        "window": WindowedStrata,
        "change": ChangingStrata,
    }
    if how == "discount":
        settings = {"discount": discount, **settings}
    given = {"exits": exits, "thresholds": thresholds}
    strata: Strata = call_with(f"forget {how!r}", ways[how], settings, given)
    return strata
