"""The decision log: one line per frame, hash-chained, bounded, and never in a frame's way.

A line is a JSON array `[previous digest, record]`; its digest is the SHA-256 of the line.  Whoever
changes, drops or reorders lines breaks the chain (`verify`).  `DecisionLog.write` only appends to a
bounded queue; a thread of its own does the rest, and what did not fit is counted, not waited for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from split_core.errors import ArtefactError, reason
from split_core.files import sha256_of
from split_core.telemetry.background import BackgroundWriter

GENESIS = "0" * 64
LONGEST_LINE_BYTES = 65_536


@dataclass(slots=True)  # not frozen: that takes 1.3 us of every frame, for so many fields
class FrameRecord:
    """All that was known about one frame when its outcome was given.  Times in milliseconds.

    Attributes:
        seq: the frame's number; gaps are frames that were dropped unread.
        captured_s: seconds since the edge process started.
        arm: (split, threshold), or None for a policy without arms.
        propensity: probability with which the policy made this choice.
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
    """

    seq: int
    captured_s: float
    arm: tuple[int, float] | None
    propensity: float
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

    @staticmethod
    def from_json(value: dict[str, Any]) -> FrameRecord:
        """A record as it was written; unknown keys are an error."""
        tuples = {name: tuple(value[name]) for name in ("exits", "labels", "confidences")}
        arm = (int(value["arm"][0]), float(value["arm"][1])) if value["arm"] is not None else None
        return FrameRecord(**{**value, **tuples, "arm": arm})


class DecisionLog:
    """Appends records to `path` from a thread of its own.

    Args:
        path: the file; rotated to `path.1`, `path.2`, ... when it grows past `max_bytes`.
        header: what all lines share: ids of bundle, policy and profile.  Written as the first record of
            every file, and again when `begin` changes it.
        max_bytes: size of one file.
        keep: how many rotated files stay.
    """

    def __init__(self, path: Path, header: dict[str, str], *, max_bytes: int = 64_000_000, keep: int = 4) -> None:
        self._path, self._header, self._max_bytes, self._keep = path, header, max_bytes, keep
        self._digest = GENESIS
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer: BackgroundWriter[FrameRecord | dict[str, Any]] = BackgroundWriter(self._append, "decision-log")

    @property
    def lost(self) -> int:
        """Records that found the queue full or the disk unwritable."""
        return self._writer.lost

    def write(self, record: FrameRecord) -> None:
        """Hand over one record; never blocks, never raises."""
        self._writer.put(record)

    def note(self, kind: str, value: dict[str, Any]) -> None:
        """Write a line that is no frame, in order with the frames: `{kind: value}`; never blocks, never raises."""
        self._writer.put({kind: value})

    def begin(self, header: dict[str, str]) -> None:
        """What is written from here on has another header: the policy was changed."""
        self._writer.put({"header": header})

    def close(self) -> None:
        """Write what is queued, then end the thread."""
        self._writer.close()

    def _append(self, records: list[FrameRecord | dict[str, Any]]) -> None:
        try:
            self._chain(records)
        except OSError:
            self._digest = GENESIS  # who knows what was written: begin a new chain
            raise

    def _chain(self, records: list[FrameRecord | dict[str, Any]]) -> None:
        if self._path.exists() and self._path.stat().st_size > self._max_bytes:
            self._rotate()
        if self._digest == GENESIS:
            drop_unfinished_line(self._path)
        with self._path.open("a", encoding="utf-8") as file:
            if file.tell() == 0 or self._digest == GENESIS:
                self._put(file, {"header": self._header})
            for record in records:
                if isinstance(record, dict):
                    self._header = record.get("header", self._header)
                self._put(file, record if isinstance(record, dict) else asdict(record))

    def _put(self, file: Any, value: dict[str, Any]) -> None:
        line = json.dumps([self._digest, value], separators=(",", ":"))
        file.write(line + "\n")
        self._digest = sha256_of(line.encode())

    def _rotate(self) -> None:
        for number in range(self._keep, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            newer = self._path.with_name(f"{self._path.name}.{number - 1}") if number > 1 else self._path
            if newer.exists():
                newer.replace(older)


def drop_unfinished_line(path: Path) -> None:
    """Cut off what a process that died left half-written: appending to it would spoil the next line too.

    Raises:
        OSError: the disk refuses.
    """
    if not path.exists():
        return
    with path.open("r+b") as file:
        end = file.seek(0, 2)
        file.seek(max(0, end - LONGEST_LINE_BYTES))
        tail = file.read()
        if not tail.endswith(b"\n"):
            file.truncate(end - len(tail) + tail.rfind(b"\n") + 1)


def read_log(path: Path) -> Iterator[FrameRecord]:
    """The records of one log file, with the chain checked on the way.

    Raises:
        ArtefactError: a line is damaged, or the chain is broken; says which line.
    """
    for value in _chained(path):
        if "seq" in value:
            yield FrameRecord.from_json(value)


def read_notes(path: Path, kind: str) -> Iterator[dict[str, Any]]:
    """What was noted of one kind: "drift", "shadow", or "header" for each change of policy; chain checked.

    Raises:
        ArtefactError: as `read_log`.
    """
    for value in _chained(path):
        if kind in value and "seq" not in value:
            yield value[kind]


def read_header(path: Path) -> dict[str, str]:
    """What the lines up to the next header share: ids of bundle, policy and profile; nothing for an empty file.

    Raises:
        ArtefactError: as `read_log`.
    """
    empty: dict[str, Any] = {"header": {}}
    header = next(_chained(path), empty).get("header")
    if not isinstance(header, dict):
        raise ArtefactError(f"{path}: does not begin with a header; is it a decision log?")
    return {str(key): str(value) for key, value in header.items()}


def verify(path: Path) -> int:
    """How many lines `path` has, when its chain is whole.

    Raises:
        ArtefactError: as `read_log`.
    """
    return sum(1 for _ in _chained(path))


def _chained(path: Path) -> Iterator[dict[str, Any]]:
    digest: str | None = None
    number = 0
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith("\n"):
                    return  # still being written, or never finished
                before, value = json.loads(line)
                # A process that starts on an existing file begins a new chain, with a header.
                starts = before == GENESIS and "header" in value
                if digest is not None and before != digest and not starts:
                    raise ArtefactError(
                        f"{path}, line {number}: the hash chain is broken; lines were changed or removed"
                    )
                digest = sha256_of(line.rstrip("\n").encode())
                yield value
    except (OSError, ValueError, TypeError, KeyError) as error:
        where = f", line {number}" if number else ""
        raise ArtefactError(
            f"{path}{where}: not a decision log ({reason(error)}); give the file that a camera's 'decisions' names"
        ) from error
