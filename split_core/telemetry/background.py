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
        linger_s: between two writings.
        finish: called in the thread when everything was written.

    Attributes:
        closing: set, by `close` or by the owner, when no further item comes.
    """

    def __init__(
        self,
        write: Callable[[list[Item]], None],
        name: str,
        capacity: int = 4096,
        *,
        linger_s: float = LINGER_S,
        finish: Callable[[], None] = lambda: None,
    ) -> None:
        self._write, self._capacity, self._linger_s, self._finish = write, capacity, linger_s, finish
        self._items: deque[Item] = deque()
        self.closing = threading.Event()
        self._writing, self._counting = threading.Lock(), threading.Lock()
        self._full = self._unwritten = self._in_hand = 0
        self._abandoned = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """Items that found no room, could not be written, or were not written when time was up."""
        return self._full + self._unwritten

    def put(self, item: Item) -> bool:
        """Hand over one item; never blocks, never raises.  False when there was no room, and it is lost."""
        if len(self._items) < self._capacity:
            self._items.append(item)
            return True
        self._full += 1
        return False

    def flush(self) -> None:
        """Write what is waiting now, on the caller's thread; takes as long as the disk takes."""
        with self._writing:
            self._write_waiting()

    def close(self, within_s: float = CLOSE_S) -> bool:
        """Write what is waiting, then end the thread; False when that takes longer, and what is left is lost."""
        self.closing.set()
        self._thread.join(within_s)
        with self._counting:
            if self._thread.is_alive() and not self._abandoned:
                self._abandoned = True
                self._unwritten += self._in_hand + len(self._items)
                self._items.clear()
            return not self._abandoned

    def _run(self) -> None:
        while not self.closing.wait(self._linger_s):
            self.flush()
        self.flush()
        self._finish()

    def _write_waiting(self) -> None:
        with self._counting:
            batch = [self._items.popleft() for _ in range(len(self._items))]
            self._in_hand = len(batch)
        try:
            if batch:
                self._write(batch)
            unwritten = 0
        except OSError:
            unwritten = len(batch)
        with self._counting:
            self._in_hand = 0
            self._unwritten += 0 if self._abandoned else unwritten
