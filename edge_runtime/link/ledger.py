"""Bookkeeping of offloads in flight.  Pure: no sockets, no clock; callers pass `now` in seconds."""

from __future__ import annotations

import heapq
from typing import Generic, TypeVar

Entry = TypeVar("Entry")


class Ledger(Generic[Entry]):
    """What was asked of the cloud and not answered yet.

    Every entry leaves exactly once: closed by its answer, or due because time is up.  An answer to an
    entry that has left is late, or a duplicate, and finds nothing.

    Args:
        capacity: entries at most; a full ledger refuses, so a slow link cannot grow it.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}")
        self._capacity = capacity
        self._entries: dict[int, Entry] = {}
        self._due: list[tuple[float, int]] = []
        self._last_id = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def full(self) -> bool:
        """Would `open` refuse?"""
        return len(self._entries) >= self._capacity

    def new_id(self) -> int:
        """A request id that was never used before in this process."""
        self._last_id += 1
        return self._last_id

    def open(self, request_id: int, entry: Entry, due_at_s: float) -> None:
        """Remember `entry` until it is closed, or until `due_at_s`."""
        if self.full:
            raise ValueError("the ledger is full; ask `full` first")
        if request_id in self._entries:
            raise ValueError(f"request {request_id} is open already")
        self._entries[request_id] = entry
        heapq.heappush(self._due, (due_at_s, request_id))

    def find(self, request_id: int) -> Entry | None:
        """The entry that an answer would belong to; it stays."""
        return self._entries.get(request_id)

    def close(self, request_id: int) -> Entry | None:
        """The entry that this answer belongs to; None when it has left already."""
        return self._entries.pop(request_id, None)

    def pop_due(self, now: float) -> Entry | None:
        """One entry whose time is up, the most urgent first; None when there is none."""
        while self._due and self._due[0][0] <= now:
            entry = self._entries.pop(heapq.heappop(self._due)[1], None)
            if entry is not None:
                return entry
        return None

    def next_due_at(self) -> float | None:
        """When the next entry is due; None when nothing is in flight."""
        while self._due and self._due[0][1] not in self._entries:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None
