"""The decision log: one line per frame, bounded, chained by hash (`telemetry.chain`), and never in a frame's way.

`DecisionLog.write` only appends to a bounded queue; a thread of its own does the rest, and what did not fit, there or
on the disk, is counted, not waited for; the chain says how many records are not in it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from split_core.chance import Chance, probability
from split_core.errors import ArtefactError
from split_core.files import sha256_of
from split_core.telemetry.background import BackgroundWriter
from split_core.telemetry.chain import (
    GENESIS,
    Page,
    chained,
    drop_unfinished_line,
    files_of,
    first_value,
    last_line,
    line_count,
    rotate,
)
from split_core.telemetry.writability import Writability

SYNC_EVERY_S = 5.0  # what a power cut may cost; a card that is synced at every line wears out


@dataclass(slots=True)  # not frozen: that takes 1.3 us of every frame, for so many fields
class FrameRecord:
    """All that was known about one frame when its outcome was given.  Times in milliseconds.

    Attributes:
        seq: the frame's number; gaps are frames that were dropped unread.
        captured_s: seconds since the edge process started.
        arm: (split, threshold), or None for a policy without arms.
        propensity: probability with which the policy made this choice; the log's own thread works it out.
        exits, labels, confidences: the readings computed on the device, in order.
        where: "edge" or "cloud".
        exit, label, confidence: the answer given.
        degraded: why the answer is not the one that was wanted; empty when it is.
        shipped: the cut whose tensors were sent; -1 when nothing was.
        payload_bytes: bytes sent; 0 when nothing was.
        verdict_label, verdict_confidence: the cloud's answer if it came, else -1 and 0.
        latency_ms: capture to outcome; the rest are its parts where they are known, else 0.
        cost: in units of the objective; None when the path was not finished.
        marked: why a person should look at the answer; empty when nobody need.
        joules: what the device drew while it worked on the frame; None where nothing tells.
    """

    seq: int
    captured_s: float
    arm: tuple[int, float] | None
    propensity: Chance
    exits: tuple[int, ...]
    labels: tuple[int, ...]
    confidences: tuple[float, ...]
    where: str
    exit: int
    label: int
    confidence: float
    degraded: str
    shipped: int
    payload_bytes: int
    verdict_label: int
    verdict_confidence: float
    latency_ms: float
    device_ms: float
    encode_ms: float
    link_ms: float
    cloud_ms: float
    cost: float | None
    marked: str = ""
    joules: float | None = None

    @staticmethod
    def from_json(value: dict[str, Any]) -> FrameRecord:
        """A record as it was written; unknown keys are an error."""
        tuples = {name: tuple(value[name]) for name in ("exits", "labels", "confidences")}
        arm = (int(value["arm"][0]), float(value["arm"][1])) if value["arm"] is not None else None
        return FrameRecord(**{**value, **tuples, "arm": arm})


class DecisionLog:
    """Appends records to `path` from a thread of its own; goes on with the chain that it finds there.

    A disk that is full or refuses costs the records that came meanwhile; writing goes on when it can.

    Args:
        path: the file; rotated to `path.1`, `path.2`, ... when it has reached `max_bytes`.
        header: what all lines share: ids of bundle, policy and profile.  Written at the start, as the first record of
            every file, after records were lost on the disk, and when `begin` changes it.
        max_bytes: size of one file, give or take a line.
        keep: how many rotated files stay, at least 1.
        wall: seconds since 1970, for people who read headers.
        clock: monotonic seconds, for when to sync to the disk.
        tell: told in one line when the file cannot be written, and when it can again.

    Raises:
        OSError: there can be no such folder; a disk that is full or read-only is told, and tried again.
    """

    def __init__(
        self,
        path: Path,
        header: dict[str, str],
        *,
        max_bytes: int = 64_000_000,
        keep: int = 4,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._path, self._header, self._max_bytes, self._keep = path, header, max_bytes, keep
        self._wall, self._clock, self._file_is = wall, clock, Writability(tell)
        self._digest = ""  # of the last line; empty when that must be looked up
        self._line = self._size = self._file = self._oldest = 0
        self._due = "start"  # why a header must be next
        self._unwritten = self._told = 0
        self._synced_at_s = clock()
        self._file_is.in_folder(path.parent)
        self._writer: BackgroundWriter[FrameRecord | dict[str, Any]] = BackgroundWriter(self._append, "decision-log")

    @property
    def lost(self) -> int:
        """Records that found the queue full or the disk unwritable."""
        return self._writer.lost + self._unwritten

    def write(self, record: FrameRecord) -> None:
        """Hand over one record; never blocks, never raises."""
        self._writer.put(record)

    def note(self, kind: str, value: dict[str, Any]) -> None:
        """Write a line that is no frame, in order with the frames: `{kind: value}`; never blocks, never raises."""
        self._writer.put({kind: value})

    def bound(self, max_bytes: int, keep: int) -> None:
        """Other bounds hold from here on."""
        self._max_bytes, self._keep = max_bytes, keep

    def begin(self, header: dict[str, str]) -> None:
        """What is written from here on has another header: the policy was changed."""
        self._writer.put({"header": header})

    def flush(self) -> None:
        """Write what is queued now, on the caller's thread; not for whoever answers frames."""
        self._writer.flush()

    def close(self) -> None:
        """Write what is queued, then end the thread."""
        self._writer.close()

    def _append(self, records: Sequence[FrameRecord | dict[str, Any]]) -> None:
        while records:
            try:
                records = records[self._append_some(records) :]
                self._file_is.well()
            except OSError as error:
                self._file_is.refused(error)
                self._unwritten += len(records)
                for record in records:
                    self._header = _header_in(record) or self._header
                self._due = self._due or "lost"
                return

    def _append_some(self, records: Sequence[FrameRecord | dict[str, Any]]) -> int:
        """Write as many as the file still takes, at least one; returns how many."""
        self._look() if self._digest else self._resume()
        if self._size >= self._max_bytes:
            self._rotate()
        page, lost, taken = Page(self._digest), self.lost, 0
        if self._due:
            page.add(self._headed(self._due, 0))
        if lost > self._told:
            page.add({"lost": {"records": lost - self._told}})
        while taken < len(records) and (not taken or self._size + len(page.text) < self._max_bytes):
            self._add(page, records[taken])
            taken += 1
        self._put(page)
        self._due, self._told = "", lost
        return taken

    def _add(self, page: Page, record: FrameRecord | dict[str, Any]) -> None:
        if header := _header_in(record):
            self._header = header
            page.add(self._headed("change", page.count))
        else:
            page.add(record if isinstance(record, dict) else _written(record))

    def _headed(self, why: str, ahead: int) -> dict[str, Any]:
        at = datetime.fromtimestamp(self._wall(), timezone.utc).isoformat(timespec="seconds")
        where = {"line": self._line + ahead, "file": self._file, "oldest": self._oldest}
        return {"header": self._header, "why": why, "at": at, **where}

    def _put(self, page: Page) -> None:
        """All of a page, or none of it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab", buffering=0) as file:
            try:
                rest = memoryview(page.text)
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError:
                digest, self._digest = self._digest, ""  # to be looked up, unless the next line succeeds
                file.truncate(self._size)
                self._digest = digest
                raise
            now = self._clock()
            if now - self._synced_at_s >= SYNC_EVERY_S:
                self._synced_at_s = now
                os.fsync(file.fileno())
        self._digest, self._line, self._size = page.digest, self._line + page.count, self._size + len(page.text)

    def _resume(self) -> None:
        """Go on behind the last whole line of what is there."""
        drop_unfinished_line(self._path)
        newest = next((one for one in reversed(files_of(self._path)) if one.exists() and one.stat().st_size), None)
        if newest is None:
            self._digest, self._line, self._size, self._file, self._oldest = GENESIS, 0, 0, 0, 0
            return
        first = first_value(newest)
        self._digest = sha256_of(last_line(newest))
        self._line = int(first.get("line", 0)) + line_count(newest)
        self._file, self._oldest = int(first.get("file", 0)), int(first.get("oldest", 0))
        self._size = newest.stat().st_size
        if newest != self._path:
            self._size, self._file = 0, self._file + 1

    def _look(self) -> None:
        """What somebody else moved away or cut is no reason to stop, nor to hide it: the chain goes on as it was."""
        if not self._path.exists():
            self._size, self._file, self._due = 0, self._file + bool(self._size), self._due or "file"
        elif self._path.stat().st_size != self._size:
            drop_unfinished_line(self._path)
            self._size = self._path.stat().st_size

    def _rotate(self) -> None:
        rotate(self._path, self._keep)
        self._size, self._file, self._due = 0, self._file + 1, self._due or "file"
        self._oldest = max(self._oldest, self._file - self._keep)


def _written(record: FrameRecord) -> dict[str, Any]:
    return asdict(replace(record, propensity=probability(record.propensity)))


def _header_in(record: FrameRecord | dict[str, Any]) -> dict[str, str] | None:
    return record.get("header") if isinstance(record, dict) else None


def read_log(path: Path) -> Iterator[FrameRecord]:
    """The frames of a log, rotated files first, with the chain checked on the way.

    Raises:
        ArtefactError: a line is damaged, or the chain is broken; says which line.
    """
    for line in chained(path):
        if "seq" in line.value:
            yield FrameRecord.from_json(line.value)


def read_notes(path: Path, kind: str) -> Iterator[dict[str, Any]]:
    """What was noted of one kind: "drift", "shadow", or "header" for each change of policy; chain checked.

    Raises:
        ArtefactError: as `read_log`.
    """
    for line in chained(path):
        if kind in line.value and "seq" not in line.value:
            yield line.value[kind]


def read_header(path: Path) -> dict[str, str]:
    """What the lines up to the next header share: ids of bundle, policy and profile; nothing for an empty file.

    Raises:
        ArtefactError: as `read_log`.
    """
    line = next(chained(path), None)
    header = line.value.get("header") if line else {}
    if not isinstance(header, dict):
        raise ArtefactError(f"{path}: does not begin with a header; is it a decision log?")
    return {str(key): str(value) for key, value in header.items()}
