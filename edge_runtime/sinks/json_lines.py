"""Outcomes as JSON lines, to a file that is rotated or to standard output."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from edge_runtime.frames.outcomes import Outcome
from edge_runtime.sinks.base import NOTHING_LOST, as_json
from split_core.params import whole
from split_core.telemetry.background import LINGER_S
from split_core.telemetry.chain import rotate
from split_core.telemetry.writability import Writability

STANDARD_OUTPUT = 1


class JsonLines:
    """Appends one line per outcome.

    Args:
        path: a file, a pipe, or "-" for standard output.
        max_bytes: the file becomes `path.1`, that `path.2`, ... when it has reached this size.
        keep: how many of those stay.
        tell: is told in one line when it cannot be written, and when it can again.
    """

    at_once, linger_s = 1000, LINGER_S

    def __init__(
        self, *, tell: Callable[[str], None], path: str = "-", max_bytes: int = 64_000_000, keep: int = 4
    ) -> None:
        self._path = None if path == "-" else Path(path)
        self._file_is = Writability(lambda line: tell(f"{path} {line}"))
        self._max_bytes, self._keep = whole("max_bytes", max_bytes, 1, 1 << 50), whole("keep", keep, 1, 10_000)

    def open(self) -> None:
        """Nothing: the file is opened for every writing, so that it may be moved away."""

    def close(self) -> None:
        """Nothing is open."""

    def deliver(self, outcomes: Sequence[Outcome], _: threading.Event) -> Mapping[str, int]:
        """Append; a disk that is full or a pipe that is closed loses them."""
        text = "".join(as_json(outcome) + "\n" for outcome in outcomes).encode()
        try:
            self._append(text)
        except OSError as error:
            self._file_is.refused(error)
            return {"unwritable": len(outcomes)}
        self._file_is.well()
        return NOTHING_LOST

    def _append(self, text: bytes) -> None:
        if self._path is None:
            # Not through `sys.stdout`: a thread that hangs with its lock in hand would abort the interpreter's end.
            return _write_all(STANDARD_OUTPUT, text)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):  # there is none yet, or it cannot be moved and grows on
            if self._path.stat().st_size >= self._max_bytes:
                rotate(self._path, self._keep)
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _write_or_nothing(handle, text)
        finally:
            os.close(handle)
        return None


def _write_or_nothing(handle: int, text: bytes) -> None:
    """All of it; on a disk that is full, what was written of it is taken back, for half a line spoils the next."""
    size = os.fstat(handle).st_size
    try:
        _write_all(handle, text)
    except OSError:
        with suppress(OSError):  # a pipe has no size
            os.ftruncate(handle, size)
        raise


def _write_all(handle: int, text: bytes) -> None:
    rest = memoryview(text)
    while rest:
        rest = rest[os.write(handle, rest) :]
