"""JSON lines that are chained by hash, through rotated files: whoever changes, drops or reorders a line is found.

A line is the array `[previous digest, value]`; its digest is the SHA-256 of the line without its end.  The first line
of all has `GENESIS` before it.  `path.1`, `path.2`, ... are older than `path`; the chain goes through all of them, and
on through every restart of the program that writes.
"""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from split_core.errors import ArtefactError, reason
from split_core.files import sha256_of

GENESIS = "0" * 64
BLOCK_BYTES = 65_536
CUT = "the hash chain is broken; lines were changed or removed: keep the files for whoever looks into it"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chain.

    Attributes:
        path, number: where it stands; the first is 1.
        before: digest of the line before, as it is written in this one.
        digest: of this line.
        value: what it says.
    """

    path: Path
    number: int
    before: str
    digest: str
    value: dict[str, Any]


class Page:
    """Lines that are written together.

    Args:
        digest: of the line before them.

    Attributes:
        digest: of the last line.
        text, count: the lines.
    """

    def __init__(self, digest: str) -> None:
        self.digest, self.text, self.count = digest, bytearray(), 0

    def add(self, value: dict[str, Any]) -> None:
        """One more line."""
        line = json.dumps([self.digest, value], separators=(",", ":")).encode()
        self.text += line + b"\n"
        self.digest = sha256_of(line)
        self.count += 1


class DamagedLine(ArtefactError):
    """A line was changed, or what was before it is missing.

    Attributes:
        path, line: the first such line.
        said: what is wrong with it.
    """

    def __init__(self, path: Path, line: int, said: str) -> None:
        super().__init__(f"{path}, line {line}: {said}")
        self.path, self.line, self.said = path, line, said


def files_of(path: Path) -> list[Path]:
    """The files of a log, oldest first: `path.2`, `path.1`, `path`."""
    found = [(rotation(one), one) for one in path.parent.glob(f"{glob.escape(path.name)}.*")]
    rotated = [one for number, one in sorted(found, reverse=True) if number]
    return [*rotated, path] if path.exists() or not rotated else rotated


def rotation(path: Path) -> int:
    """N of `path.N`; 0 of anything else."""
    end = path.suffix[1:]
    return int(end) if end.isdigit() else 0


def rotate(path: Path, keep: int) -> None:
    """`path` becomes `path.1`, that `path.2`, ...; of these the newest `keep`, at least 1, stay.

    Raises:
        OSError: the folder cannot be written.
    """
    old = [one for one in files_of(path) if rotation(one)]
    surplus = max(0, len(old) + 1 - keep)
    for one in old[:surplus]:
        one.unlink()
    old = [*old[surplus:], path]
    for number, one in zip(range(len(old), 0, -1), old, strict=True):
        one.replace(path.with_name(f"{path.name}.{number}"))


def logs_among(paths: Iterable[Path]) -> list[Path]:
    """Without rotated files whose newest is given, too: `log.1 log` is one log."""
    given = list(dict.fromkeys(paths))
    return [one for one in given if not (rotation(one) and one.with_suffix("") in given)]


def chained(path: Path) -> Iterator[Line]:
    """The lines of a log, oldest file first, the chain checked on the way; one that is still being written is not told.

    Raises:
        DamagedLine: a line does not follow the one before it.
        ArtefactError: not such a file.
    """
    last: Line | None = None
    with _opened(path) as files:
        for name, file in files:
            for line in _lines(name, file):
                if last is not None and line.before != last.digest:
                    follows = f"does not follow the last line of {last.path}; what was between is missing"
                    raise DamagedLine(name, line.number, CUT if line.number > 1 else follows)
                last = line
                yield line


@contextmanager
def _opened(path: Path) -> Iterator[Sequence[tuple[Path, BinaryIO]]]:
    """All files at once, so that a rotation meanwhile does no harm."""
    try:
        with ExitStack() as stack:
            while True:
                files = [(name, stack.enter_context(name.open("rb"))) for name in files_of(path)]
                if [os.fstat(file.fileno()).st_ino for _, file in files] == [p.stat().st_ino for p in files_of(path)]:
                    break
            yield files
    except OSError as error:
        raise ArtefactError(f"{path}: cannot be read ({reason(error)}); give the file that the log is named") from error


def _lines(path: Path, file: BinaryIO) -> Iterator[Line]:
    for number, line in enumerate(file, 1):
        if not line.endswith(b"\n"):
            return
        try:
            before, value = json.loads(line)
            if not isinstance(value, dict):
                raise TypeError("expected an object")
        except (ValueError, TypeError) as error:
            said = f"not a decision log ({reason(error)}); give the file that a camera's 'decisions' names"
            raise DamagedLine(path, number, said) from error
        yield Line(path, number, before, sha256_of(line[:-1]), value)


def last_line(path: Path) -> bytes:
    """The last line, without its end; nothing when the file has none.

    Raises:
        OSError: it cannot be read.
    """
    if not path.exists():
        return b""
    with path.open("rb") as file:
        at, tail = file.seek(0, os.SEEK_END), b""
        while at > 0 and b"\n" not in tail[:-1]:
            begin = max(0, at - BLOCK_BYTES)
            file.seek(begin)
            tail, at = file.read(at - begin) + tail, begin
    return tail.removesuffix(b"\n").rpartition(b"\n")[2]


def line_count(path: Path) -> int:
    """Whole lines in a file; 0 when it is not there.

    Raises:
        OSError: it cannot be read.
    """
    if not path.exists():
        return 0
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(BLOCK_BYTES), b""))


def first_value(path: Path) -> dict[str, Any]:
    """What the first line says; nothing when that cannot be told.

    Raises:
        OSError: it cannot be read.
    """
    if not path.exists():
        return {}
    with path.open("rb") as file:
        try:
            _, value = json.loads(file.readline())
        except (ValueError, TypeError):
            return {}
    return value if isinstance(value, dict) else {}


def drop_unfinished_line(path: Path) -> None:
    """Cut off what a process that died left half-written: appending to it would spoil the next line too.

    Raises:
        OSError: the disk refuses.
    """
    if not path.exists():
        return
    with path.open("r+b") as file:
        at, end = file.seek(0, os.SEEK_END), 0
        size = at
        while at > 0 and not end:
            begin = max(0, at - BLOCK_BYTES)
            file.seek(begin)
            found = file.read(at - begin).rfind(b"\n")
            at, end = begin, begin + found + 1 if found >= 0 else 0
        if end != size:
            file.truncate(end)
