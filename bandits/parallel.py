"""Seeds in several processes: the same answers in the same order, whatever the number of processes."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

Task = TypeVar("Task")
Answer = TypeVar("Answer")
Progress = Callable[[int, int], None]

WORTH_PROCESSES = 150_000  # frames times policies: a process takes half a second to start


def no_progress(done: int, total: int) -> None:
    """Say nothing."""


def workers_for(tasks: int, frames_each: int) -> int:
    """As many processes as pay for themselves; never more than cores or tasks."""
    if tasks * frames_each < WORTH_PROCESSES:
        return 1
    return max(1, min(tasks, _cores()))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_all(
    work: Callable[[Task], Answer], tasks: Sequence[Task], *, workers: int, progress: Progress = no_progress
) -> list[Answer]:
    """`work` done for every task, answers in their order.

    Args:
        work: a function of a module (or a partial of one), so that another process can find it.
        tasks: what to do.
        workers: processes; 1 does all in this one.
        progress: told (done, total), in order of the tasks.
    """
    if workers == 1:
        return _collect(map(work, tasks), len(tasks), progress)
    # Spawned, not forked: forking a process that has threads (BLAS, a camera's) may hang.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        try:
            return _collect(pool.map(work, tasks), len(tasks), progress)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _collect(answers: Iterable[Answer], total: int, progress: Progress) -> list[Answer]:
    found = []
    for answer in answers:
        found.append(answer)
        progress(len(found), total)
    return found
