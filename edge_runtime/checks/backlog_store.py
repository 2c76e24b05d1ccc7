"""Frames that the cloud should see later, in SQLite.  No sockets, no threads: whoever uses it has one.

The journal is a write-ahead log that is synced at checkpoints only (`synchronous=NORMAL`): a power cut can lose what
was written in the last moments, never the file.  Syncing every commit would wear out a card, for frames that have an
answer already.
"""

from __future__ import annotations

import os
import sqlite3
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Literal

Drop = Literal["oldest", "surest"]

ROW_BYTES = 256  # of a frame's row beside its payload
PAGE_BYTES = 4096
ROOM = 1.25  # the file, over what frames in it may take: pages are not always full
SCHEMA = """
CREATE TABLE IF NOT EXISTS kept (
    id INTEGER PRIMARY KEY, camera TEXT, seq INTEGER, captured_at REAL, why TEXT, exit INTEGER, label INTEGER,
    confidence REAL, policy TEXT, bundle TEXT, cut INTEGER, codec TEXT, payload BLOB, bytes INTEGER
) STRICT;
CREATE INDEX IF NOT EXISTS by_confidence ON kept (confidence);
"""
FIRST: dict[Drop, str] = {"oldest": "id", "surest": "confidence DESC, id"}  # to be dropped
NEXT: dict[Drop, str] = {"oldest": "id", "surest": "confidence, id"}  # to be sent


@dataclass(frozen=True, slots=True)
class Kept:
    """One frame.

    Attributes:
        camera, seq: whose.
        captured_at: seconds since 1970.
        why: "degraded", "marked" or "audit".
        exit, label, confidence: the answer that it has.
        policy, bundle: ids in force then.
        cut, codec: what `payload` is.
        payload: the frames of a `wire.Offload`, packed.
    """

    camera: str
    seq: int
    captured_at: float
    why: str
    exit: int
    label: int
    confidence: float
    policy: str
    bundle: str
    cut: int
    codec: str
    payload: bytes

    @property
    def bytes(self) -> int:
        """That it takes."""
        return len(self.payload) + ROW_BYTES


COLUMNS = ", ".join(field.name for field in fields(Kept))


class BacklogStore:
    """A bounded table of frames.

    Args:
        path: of the database; made, with its folder, where there is none.
        limit_bytes: of all frames in it.
        drop: which of them make room for others.

    Attributes:
        count, bytes: in it now.

    Raises:
        sqlite3.DatabaseError: the file is no database, or damaged; `aside` moves it away.
        OSError: there can be no such file.
    """

    def __init__(self, path: Path, limit_bytes: int, drop: Drop) -> None:
        self._limit, self._drop = limit_bytes, drop
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # pictures of people may be in it
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            self._open()
        except sqlite3.DatabaseError:
            self._db.close()
            raise

    def _open(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute(f"PRAGMA max_page_count = {int(ROOM * self._limit / PAGE_BYTES) + 16}")
        [(state,)] = self._db.execute("PRAGMA quick_check(1)").fetchall()
        if state != "ok":
            raise sqlite3.DatabaseError(state)
        self._db.executescript(SCHEMA)
        [(self.count, self.bytes)] = self._db.execute("SELECT COUNT(*), COALESCE(SUM(bytes), 0) FROM kept")

    def add(self, frames: list[Kept]) -> int:
        """All or nothing; returns how many others, or of these, had to make room.

        Raises:
            sqlite3.Error: the disk refuses; then nothing has changed.
        """
        count, size = self.count, self.bytes
        self._db.execute("BEGIN IMMEDIATE")
        try:
            rows = [(*astuple(frame), frame.bytes) for frame in frames]
            marks = ", ".join("?" * (len(fields(Kept)) + 1))
            self._db.executemany(f"INSERT INTO kept ({COLUMNS}, bytes) VALUES ({marks})", rows)
            self.count, self.bytes = count + len(frames), size + sum(frame.bytes for frame in frames)
            dropped = self._make_room()
            self._db.execute("COMMIT")
        except sqlite3.Error:
            self.count, self.bytes = count, size
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        return dropped

    def _make_room(self) -> int:
        dropped = 0
        while self.bytes > self._limit:
            query = f"SELECT id, bytes FROM kept ORDER BY {FIRST[self._drop]} LIMIT 1"
            [(number, size)] = self._db.execute(query).fetchall()
            self._db.execute("DELETE FROM kept WHERE id = ?", (number,))
            self.count, self.bytes, dropped = self.count - 1, self.bytes - size, dropped + 1
        return dropped

    def next(self) -> tuple[int, Kept] | None:
        """The frame to be sent next, and its number; None when there is none."""
        query = f"SELECT id, {COLUMNS} FROM kept ORDER BY {NEXT[self._drop]} LIMIT 1"
        found = self._db.execute(query).fetchone()
        return (found[0], Kept(*found[1:])) if found else None

    def remove(self, number: int) -> None:
        """It was sent, or is of no use."""
        found = self._db.execute("DELETE FROM kept WHERE id = ? RETURNING bytes", (number,)).fetchone()
        if found:
            self.count, self.bytes = self.count - 1, self.bytes - found[0]

    def close(self) -> None:
        """Give it back."""
        self._db.close()


def aside(path: Path) -> Path:
    """Move a damaged database away, with its journal; returns where it is now."""
    damaged = path.with_name(f"{path.name}.damaged")
    for end in ("-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    path.replace(damaged)
    return damaged
