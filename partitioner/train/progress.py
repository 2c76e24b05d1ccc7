"""Long steps as bars on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.progress import Progress


def steps_on(bar: Progress) -> Callable[[str, int], Any]:
    """Gives each step, by title and total, a line that goes when it is over."""

    @contextmanager
    def step(title: str, total: int) -> Iterator[Callable[[int], None]]:
        task = bar.add_task(title, total=total)
        yield lambda count: bar.advance(task, count)
        bar.remove_task(task)

    return step
