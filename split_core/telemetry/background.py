"""A thread that writes, so that whoever produces never waits: the one such thread pattern of the project."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")

LINGER_S = 0.05  # between two writings: a batch costs the producer nothing, a wake-up per item 10 us
CLOSE_S = 5.0  # a disk or a peer that hangs must not keep the program from ending


class BackgroundWriter(Generic[Item]):
    """Hands items to `write` in a thread of its own, in batches.

    Args:
        write: called with one or more items; an `OSError` (disk full, pipe closed) loses the batch.
        name: of the thread.
        capacity: items that may wait; further ones are lost.

    Attributes:
        lost: items that found no room or could not be written.
    """

    def __init__(self, write: Callable[[list[Item]], None], name: str, capacity: int = 4096) -> None:
        self._write, self._capacity = write, capacity
        self._items: deque[Item] = deque()
        self._closing, self._writing = threading.Event(), threading.Lock()
        self.lost = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: Item) -> None:
        """Hand over one item; never blocks, never raises."""
        if len(self._items) < self._capacity:
            self._items.append(item)
        else:
            self.lost += 1

    def flush(self) -> None:
        """Write what is waiting now, on the caller's thread; takes as long as the disk takes."""
        with self._writing:
            self._write_waiting()

    def close(self) -> None:
        """Write what is waiting, then end the thread; what is not written after `CLOSE_S` is lost."""
        self._closing.set()
        self._thread.join(CLOSE_S)
        if self._thread.is_alive():
            self.lost += len(self._items)

    def _run(self) -> None:
        while not self._closing.wait(LINGER_S):
            self.flush()
        self.flush()

    def _write_waiting(self) -> None:
        batch = [self._items.popleft() for _ in range(len(self._items))]
        try:
            if batch:
                self._write(batch)
        except OSError:
            self.lost += len(batch)
