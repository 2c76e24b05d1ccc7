"""What was done with a folder of versions: JSON lines, each chained to the one before by its SHA-256."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from split_core.errors import ArtefactError, PolicyFileError, reason
from split_core.files import sha256_of
from split_core.telemetry.chain import GENESIS, drop_unfinished_line


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was done.

    Attributes:
        at: time of day, ISO 8601 with its zone.
        who: user@host.
        what: "add", "promote" or "rollback"; of releases also "try" and "refuse".
        name: of the version.
        to: the pointer that was moved to it.
        was: where that pointer stood before; empty for nowhere.
        why: of what a machine did by itself.
    """

    at: str
    who: str
    what: str
    name: str
    to: str
    was: str
    why: str = ""


def read(path: Path, error_of: type[ArtefactError] = PolicyFileError) -> list[Entry]:
    """All entries, oldest first; a last line that was never finished is left out.

    Args:
        path: the file.
        error_of: what is raised, for the kind of versions.

    Raises:
        ArtefactError: a line is damaged, or the chain is broken; says which line.
    """
    lines = _lines(path, error_of)
    digest, entries = GENESIS, []
    for number, line in enumerate(lines, 1):
        try:
            before, value = json.loads(line)
            entries.append(Entry(**value))
        except (ValueError, TypeError) as error:
            raise error_of(f"{path}, line {number}: no line of a history ({reason(error)})") from error
        if before != digest:
            raise error_of(f"{path}, line {number}: the hash chain is broken; lines were changed or removed")
        digest = sha256_of(line)
    return entries


def append(path: Path, entry: Entry) -> None:
    """Write one entry behind the others; it is on disk when this returns.

    Raises:
        OSError: the disk refuses.
    """
    drop_unfinished_line(path)
    lines = _lines(path)
    digest = sha256_of(lines[-1]) if lines else GENESIS
    with path.open("ab") as file:
        file.write(json.dumps([digest, asdict(entry)], separators=(",", ":")).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def line_of_actives(entries: Sequence[Entry], active: str) -> list[str]:
    """The versions that were active one after the other, `active` last, without what was rolled back.

    A step that was written down and not finished (the power went) is left out.
    """
    line: list[str] = []
    for entry in entries:
        if entry.to != "active":
            continue
        if entry.what == "rollback":
            del line[-1:]
        else:
            line.append(entry.name)
    while line and line[-1] != active:
        line.pop()
    return line


def _lines(path: Path, error_of: type[ArtefactError] = PolicyFileError) -> list[bytes]:
    try:
        return path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise error_of(f"{path}: cannot be read ({error.strerror}); expected the folder of a store") from error
