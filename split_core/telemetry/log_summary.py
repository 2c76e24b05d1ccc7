"""What a whole decision log says of itself: is its chain whole, what does it hold, what is not in it any more."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from split_core.errors import ArtefactError
from split_core.telemetry.chain import GENESIS, DamagedLine, Line, chained, rotation


@dataclass
class LogSummary:
    """Counts over a log, all files of it.

    Attributes:
        log: the newest file.
        files: how many there are.
        lines, frames, headers: that were read; `starts` are headers of a program that began.
        notes: lines of other kinds, by kind.
        lost: records that the log itself says it could not write.
        rotated_away: lines that were there before the oldest that is here.
        first_at, last_at: time of day, ISO 8601; empty where no header says one.
        head: digest of the last line: who keeps it elsewhere can tell later whether the log was cut.
        ids: of bundle, policy and others, at the end.
    """

    log: str
    files: int = 0
    lines: int = 0
    frames: int = 0
    headers: int = 0
    starts: int = 0
    lost: int = 0
    rotated_away: int = 0
    first_at: str = ""
    last_at: str = ""
    head: str = ""
    notes: Counter[str] = field(default_factory=Counter)
    ids: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """JSON types."""
        return {"whole": True, **asdict(self), "notes": dict(self.notes)}

    def told(self) -> str:
        """For people."""
        kinds = "".join(f", {count} {kind}" for kind, count in sorted(self.notes.items()))
        lines = [
            f"{self.log}: whole; {self.lines} lines in {self.files} files: {self.frames} frames, "
            f"{self.headers} headers ({self.starts} starts){kinds}",
            f"from {self.first_at or 'unknown'} to {self.last_at or 'unknown'}, head {self.head or 'none'}",
        ]
        if self.rotated_away:
            lines.append(f"{self.rotated_away} earlier lines were rotated away")
        if self.lost:
            lines.append(f"{self.lost} records are missing, and the log says so: the disk or the queue was full")
        return "\n".join(lines)


def summarised(path: Path, head: str = "") -> LogSummary:
    """Read a log with all its rotated files.

    Args:
        path: the newest file; a rotated one, to look at that alone.
        head: a digest that was its head before, or the beginning of one; it must still be among the lines.

    Raises:
        DamagedLine: changed, removed or foreign lines; says which.
        ArtefactError: no such file, files that are missing, or `head` is not there.
    """
    summary, clock, found, first_file = LogSummary(str(path)), _Clock(), not head, 0
    for line in chained(path):
        if not summary.lines:
            summary.rotated_away, first_file = _before(line), int(line.value.get("file", 0))
        if line.number == 1:
            summary.files += 1
            _all_there(line, first_file)
        _count(summary, line.value)
        clock.see(line.value)
        summary.head = line.digest
        found = found or line.digest.startswith(head)
    if not found:
        raise ArtefactError(f"{path}: no line has the digest {head}; it was cut off, or rotated away")
    summary.first_at, summary.last_at = clock.first_at, clock.last_at
    return summary


def _before(line: Line) -> int:
    """How many lines were before the oldest that is here."""
    if "header" not in line.value:
        raise DamagedLine(line.path, line.number, "expected a header; the lines before it were removed")
    before = int(line.value.get("line", 0))
    if (line.before == GENESIS) != (before == 0):
        raise DamagedLine(line.path, line.number, "expected the number of lines before this one; it was changed")
    return before


def _all_there(line: Line, first_file: int) -> None:
    """The newest file says which is the oldest that was there when it began."""
    missing = first_file - int(line.value.get("oldest", first_file))
    if missing > 0 and not rotation(line.path):
        raise DamagedLine(line.path, 1, f"expected {missing} more files, older than those here; they were removed")


def _count(summary: LogSummary, value: dict[str, Any]) -> None:
    summary.lines += 1
    if "seq" in value:
        summary.frames += 1
    elif "header" in value:
        summary.headers += 1
        summary.starts += value.get("why") == "start"
        summary.ids = value["header"]
    elif "lost" in value:
        summary.lost += int(value["lost"]["records"])
    else:
        summary.notes[next(iter(value), "")] += 1


class _Clock:
    """Headers have the time of day, frames seconds of their process: the time between is counted in those."""

    def __init__(self) -> None:
        self.first_at = self.last_at = ""
        self._header_at: datetime | None = None
        self._began_s: float | None = None

    def see(self, value: dict[str, Any]) -> None:
        if "seq" in value:
            captured_s = float(value["captured_s"])
            self._began_s = captured_s if self._began_s is None else self._began_s
            if self._header_at:
                self.last_at = _iso(self._header_at + timedelta(seconds=captured_s - self._began_s))
        elif "header" in value and value.get("at"):
            self._header_at, self._began_s = datetime.fromisoformat(value["at"]), None
            self.last_at = value["at"]
        self.first_at = self.first_at or self.last_at


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
