"""The time of a frame: its deadline, what is kept free before it, and which steps still fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge_runtime.frames.costs import CostBook


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things may take.

    Attributes:
        deadline_s: from capture to outcome.
        margin_s: kept free before the deadline.
    """

    deadline_s: float
    margin_s: float

    def __post_init__(self) -> None:
        if not 0.0 < self.margin_s < self.deadline_s:
            raise ValueError(f"expected 0 < margin < deadline, got {self.margin_s} and {self.deadline_s} s")


class TimeBudget:
    """Tells what fits, by what steps took so far.

    Args:
        timing: deadline and margin.
        costs: how long steps take.
        clock: monotonic seconds, that of the captures.
    """

    def __init__(self, timing: Timing, costs: CostBook, clock: Callable[[], float]) -> None:
        self._timing, self._costs, self._clock = timing, costs, clock

    def deadline_at_s(self, captured_at_s: float) -> float:
        """Of a frame captured then."""
        return captured_at_s + self._timing.deadline_s

    def left_ms(self, deadline_at_s: float) -> float:
        """Until the margin begins; negative behind that."""
        return (deadline_at_s - self._timing.margin_s - self._clock()) * 1e3

    def run_ms(self, depth: int, target: int) -> float:
        """From a depth to the reading of exit `target`."""
        return self._costs.segment_ms(depth + 1, target) + self._costs.head_ms(target)

    @property
    def margin_ms(self) -> float:
        """Kept free before the deadline."""
        return self._timing.margin_s * 1e3

    def longest_ms(self, exits: int) -> float:
        """The longest segment of so many."""
        return max(self._costs.segment_ms(k, k) for k in range(1, exits + 1))

    def fits(self, depth: int, target: int, deadline_at_s: float) -> bool:
        """Is exit `target` read before the margin begins?"""
        return self.run_ms(depth, target) <= self.left_ms(deadline_at_s)

    def splits(self, first: int, exits: int, left_ms: float) -> tuple[int, ...]:
        """Where a frame may stop: as deep as the time left allows, but at least at exit 1."""
        deepest = exits
        while deepest > 1 and self._costs.segment_ms(1, deepest) > left_ms:
            deepest -= 1
        return tuple(range(first, deepest + 1))

    def due_at_s(self, deadline_at_s: float, blind: int) -> float:
        """When to give an offload up: early enough to read exit 1 of `blind` frames that have no reading yet."""
        due_at_s = deadline_at_s - self._timing.margin_s
        return due_at_s - blind * self.run_ms(0, 1) / 1e3 if blind else due_at_s
