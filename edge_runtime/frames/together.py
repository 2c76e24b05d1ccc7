"""Frames of several cameras through the first segments at once, where that pays and harms no deadline."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from edge_runtime.frames.prefix import Prefix, Run, deepen_together
from edge_runtime.frames.stream import Stream
from edge_runtime.frames.ticket import Ticket
from edge_runtime.sources.base import Frame
from split_core.errors import BackendError

WORTH_IT = 1.1  # so many times as fast as one after the other
ROUNDS = 5
MOST = 16


def gain(prefix: Prefix, frames: int) -> float:
    """How many times as fast blank frames go through all segments together as one after the other; 0 where they cannot.

    Both are timed in turns, and the medians compared: a few network runs, before the first real frame.
    """
    alone, together = [], []
    for _ in range(ROUNDS):
        runs = [prefix.blank() for _ in range(frames)]
        alone.append(_ms(prefix, lambda runs=runs: [run.deepen() for run in runs]))  # type: ignore[misc]
        fresh = [prefix.blank() for _ in range(frames)]
        try:
            together.append(_ms(prefix, lambda fresh=fresh: deepen_together(fresh)))  # type: ignore[misc]
        except BackendError:  # an engine that was built for one frame
            return 0.0
    return statistics.median(alone) / statistics.median(together)


def _ms(prefix: Prefix, step: Callable[[], object]) -> float:
    started_s = prefix.clock()
    for _ in range(prefix.exits):
        step()
    return (prefix.clock() - started_s) * 1e3


def best_size(prefix: Prefix, most: int) -> int:
    """How many frames to run together, at most so many; 1 where it does not pay.

    More are only tried while more gain more: an engine keeps the memory that its largest batch took.
    """
    best, best_gain = 1, 1.0
    for size in [*(size for size in (2, 4, 8, 16) if size < most), most]:
        if size > 1 and (found := gain(prefix, size)) > best_gain:
            best, best_gain = size, found
        elif size > 1:
            break
    return best if best_gain >= WORTH_IT else 1


def together_at(configured: int, prefix: Prefix, cameras: int) -> int:
    """How many frames of so many cameras to run together: as configured, or found out where that is 0."""
    return configured or best_size(prefix, min(MOST, cameras))


def may_wait_for_all(group: Sequence[tuple[Stream, Frame]]) -> bool:
    """Could each of these frames wait until all have run the whole network one after the other, and meet its deadline?

    A step of all takes that many times one frame's at most; what is in flight must not wait longer than its margin.
    """
    whole_ms, longest_ms, left_ms, margin_ms = 0.0, 0.0, float("inf"), float("inf")
    for stream, frame in group:
        budget, exits = stream.deployment.budget, stream.deployment.prefix.exits
        whole_ms += budget.run_ms(0, exits)
        longest_ms += budget.longest_ms(exits)
        left_ms = min(left_ms, budget.left_ms(budget.deadline_at_s(frame.captured_at_s)))
        margin_ms = min(margin_ms, budget.margin_ms)
    return whole_ms <= left_ms and longest_ms <= margin_ms


def companions(tickets: Sequence[Ticket]) -> tuple[list[Run], int]:
    """Which of these frames are run together, and how deep: to the first exit that any of them reads."""
    able = [(ticket.run, ticket.plan.heads[0]) for ticket in tickets if ticket.run is not None and ticket.plan.heads]
    runs = [run for run, _ in able]
    if len(runs) < 2 or len({_kind(run) for run in runs}) > 1:
        return [], 0
    return runs, min(head for _, head in able)


def _kind(run: Run) -> tuple[int, tuple[int, ...]]:
    return id(run.prefix), run.item.shape
