"""The thread between frames that wait for the cloud and the disk: the loop hands over, and takes what is next."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgpack

from edge_runtime.checks.backlog_store import BacklogStore, Drop, Kept, aside
from split_core import wire
from split_core.codecs.base import Codec, Encoded
from split_core.errors import CodecError, WireError
from split_core.telemetry.background import BackgroundWriter
from split_core.telemetry.writability import Writability
from split_core.tensors import Array

WAITING = 64  # frames on their way to the disk: each holds its tensors
LINGER_S = 0.5  # between two writings: a transaction costs a card more than what is in it


@dataclass(frozen=True, slots=True)
class Fresh:
    """A frame as the loop hands it over: its tensors are packed in the thread.

    Attributes:
        kept: all but the payload.
        tensors: of its cut; nobody writes to them.
        codec: packs them.
    """

    kept: Kept
    tensors: Sequence[Array]
    codec: Codec


@dataclass(frozen=True, slots=True)
class Done:
    """The frame of this number was sent, or is of no use."""

    number: int


@dataclass(frozen=True, slots=True)
class Look:
    """See what is there from before."""


class Backlog:
    """A queue on disk.

    Args:
        path: of the database.
        limit_bytes: of the frames in it.
        drop: which make room.
        tell: told in one line when the file is damaged, cannot be written, and can be written again.

    Attributes:
        next: the frame to be sent next and its number, once it was read; None when there is none.
        kept: frames that were written.
        dropped: those that will not be sent, by reason: "room", "disk", "busy" (the thread was), "unpackable".
        waiting, bytes: on the disk now.
    """

    def __init__(self, path: Path, limit_bytes: int, drop: Drop, tell: Callable[[str], None]) -> None:
        self._path, self._limit, self._drop, self._tell = path, limit_bytes, drop, tell
        self._store: BacklogStore | None = None
        self._file_is = Writability(tell)
        self.next: tuple[int, Kept] | None = None
        self.kept = self.waiting = self.bytes = 0
        self.dropped: Counter[str] = Counter()
        self._writer: BackgroundWriter[Fresh | Done | Look] = BackgroundWriter(
            self._write, "backlog", WAITING, linger_s=LINGER_S, finish=self._finish
        )
        self._writer.put(Look())

    def put(self, fresh: Fresh) -> None:
        """Keep a frame; never blocks."""
        if not self._writer.put(fresh):
            self.dropped["busy"] += 1

    def done(self, number: int) -> None:
        """The frame of this number is to be forgotten."""
        self.next = None
        self._writer.put(Done(number))

    def close(self) -> None:
        """Write what is waiting."""
        self._writer.close()

    def _write(self, items: list[Fresh | Done | Look]) -> None:
        fresh = [one for one in items if isinstance(one, Fresh)]
        packed = [kept for one in fresh if (kept := self._packed(one))]
        try:
            store = self._opened()
            for one in items:
                if isinstance(one, Done):
                    store.remove(one.number)
            if packed:
                self.dropped["room"] += store.add(packed)
                self.kept += len(packed)
            self.next, self.waiting, self.bytes = store.next(), store.count, store.bytes
        except (sqlite3.Error, OSError) as error:
            self.dropped["disk"] += len(packed)
            self._refused(error)
            return
        self._file_is.well()

    def _packed(self, fresh: Fresh) -> Kept | None:
        try:
            tensors = [fresh.codec.encode(tensor) for tensor in fresh.tensors]
        except CodecError:
            self.dropped["unpackable"] += 1
            return None
        return with_payload(fresh.kept, tensors)

    def _opened(self) -> BacklogStore:
        if self._store is None:
            try:
                self._store = BacklogStore(self._path, self._limit, self._drop)
            except sqlite3.OperationalError:
                raise  # the disk, not the file
            except sqlite3.DatabaseError as error:
                self._tell(f"is damaged ({error}); moved to {aside(self._path)}, and begun anew")
                self._store = BacklogStore(self._path, self._limit, self._drop)
        return self._store

    def _refused(self, error: sqlite3.Error | OSError) -> None:
        self._file_is.refused(error if isinstance(error, OSError) else OSError(0, str(error)))
        self._finish()  # opened again with the next writing: a damage is found then

    def _finish(self) -> None:
        if self._store:
            self._store.close()
        self._store = None


def with_payload(kept: Kept, tensors: Sequence[Encoded]) -> Kept:
    """The frame with its tensors packed."""
    message = wire.Offload(0, kept.bundle, kept.cut, kept.codec, 0.0, tuple(tensors))
    payload = msgpack.packb([bytes(frame) for frame in wire.encode(message)])
    return replace(kept, payload=payload)


def tensors_of(kept: Kept) -> tuple[Encoded, ...]:
    """What `with_payload` packed.

    Raises:
        WireError: it is something else.
    """
    try:
        frames = msgpack.unpackb(kept.payload)
    except (ValueError, msgpack.UnpackException) as error:
        raise WireError("what was kept is not msgpack") from error
    if not isinstance(frames, list) or not all(isinstance(frame, bytes) for frame in frames):
        raise WireError("what was kept is no list of frames")
    message = wire.decode(frames)
    if not isinstance(message, wire.Offload):
        raise WireError("what was kept is no offload")
    return message.tensors
