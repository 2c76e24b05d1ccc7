"""A thread that writes, so that whoever produces never waits: the one such thread pattern of the project."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class BackgroundWriter(Generic[Item]):
    """Hands items to `write` in a thread of its own, in batches.

    Args:
        write: called with one or more items; an `OSError` (disk full, pipe closed) loses the batch.
        name: of the thread.
        capacity: items that may wait; further ones are lost.

    Attributes:
        lost: items that found the queue full or could not be written.
    """

    def __init__(self, write: Callable[[list[Item]], None], name: str, capacity: int = 4096) -> None:
        self._write = write
        self._queue: queue.Queue[Item | None] = queue.Queue(maxsize=capacity)
        self.lost = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: Item) -> None:
        """Hand over one item; never blocks, never raises."""
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            self.lost += 1

    def close(self) -> None:
        """Write what is queued, then end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            batch = [self._queue.get()]
            while not self._queue.empty():
                batch.append(self._queue.get())
            items = [item for item in batch if item is not None]
            try:
                if items:
                    self._write(items)
            except OSError:
                self.lost += len(items)
            if len(items) < len(batch):
                return
