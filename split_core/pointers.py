"""A folder of versions that never change, pointers to those in use, and a history of who moved them.

    0003-1f0c9a2b44de...        versions
    candidate, ..., active      one line each: the name of a version
    history.jsonl               who moved which pointer when, hash-chained

Moving a pointer is one rename, so whoever reads it sees the old version or the new one.
"""

from __future__ import annotations

import fcntl
import getpass
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from split_core import version_history as history
from split_core.errors import ArtefactError, reason
from split_core.files import write_atomically
from split_core.version_history import Entry

HISTORY = "history.jsonl"


def now_iso() -> str:
    """The time of day, for people."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Kind:
    """What versions are of.

    Attributes:
        noun: as messages say it, and the command that moves its pointers.
        states: pointers that a version goes through, "candidate" first and "active" last.
        name: how versions are called.
        error: what is raised.
    """

    noun: str
    states: tuple[str, str, str]
    name: re.Pattern[str]
    error: type[ArtefactError]


class Pointers:
    """Those of one folder.

    Args:
        folder: it is made when something is first written.
        kind: of its versions.
        clock: time of day for the history.
    """

    def __init__(self, folder: Path, kind: Kind, clock: Callable[[], str] = now_iso) -> None:
        self.folder, self._kind, self._clock = folder, kind, clock

    def at(self, state: str) -> str:
        """The name that a pointer holds; empty when there is none.

        Raises:
            ArtefactError: it holds something else than a name.
        """
        path, kind = self.folder / state, self._kind
        try:
            name = path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise kind.error(
                f"{path}: cannot be read ({reason(error)}); 'offramp {kind.noun} promote' writes it anew"
            ) from error
        if name and not kind.name.fullmatch(name):
            raise kind.error(f"{path}: expected the name of a version, got {name[:40]!r}")
        return name

    def path(self, state: str) -> Path:
        """What is behind a pointer.

        Raises:
            ArtefactError: there is none.
        """
        name, noun = self.at(state), self._kind.noun
        if not name:
            told = f"no {state} {noun}; 'offramp {noun} add' and 'promote' make one"
            raise self._kind.error(f"{self.folder}: {told}")
        return self.folder / name

    def check_name(self, name: str) -> None:
        """Refuse what is not even called like a version.

        Raises:
            ArtefactError: it is none.
        """
        if not self._kind.name.fullmatch(name):
            there = ", ".join(self.versions())
            raise self._kind.error(f"{self.folder}: {name!r} is no version; there are: {there}")

    def versions(self) -> list[str]:
        """Names of all versions, in order of their numbers."""
        names = [path.name for path in self.folder.glob("*") if self._kind.name.fullmatch(path.name)]
        return sorted(names, key=number_of)

    def history(self) -> list[Entry]:
        """What was done, oldest first.

        Raises:
            ArtefactError: the chain is broken.
        """
        return history.read(self.folder / HISTORY, self._kind.error)

    def promote(self, to: str, name: str, check: Callable[[str], None]) -> Entry:
        """Move a version one state on, or straight to `to`.

        Args:
            to: a state behind the first; by default the next one.
            name: of a version; by default the one in the middle when it goes to active and there is one, else the
                candidate.
            check: is given its name, and refuses what cannot be used by an `ArtefactError`.

        Raises:
            ArtefactError: nothing to promote, or refused; nothing is changed then.
        """
        first, second, _ = self._kind.states
        with self.writing():
            candidate, middle = self.at(first), self.at(second)
            to = to or (second if candidate else "active")
            name = name or ((middle or candidate) if to == "active" else candidate)
            if not name:
                noun = self._kind.noun
                raise self._kind.error(f"{self.folder}: nothing to promote; 'offramp {noun} add STORE ...' comes first")
            check(name)
            entry = self.move("promote", name, to)
            for passed in self._kind.states[: self._kind.states.index(to)]:
                if self.at(passed) == name:
                    (self.folder / passed).unlink()
        return entry

    def rollback(self, check: Callable[[str], None]) -> Entry:
        """Make the version active that was so before the present one.

        Args:
            check: as for `promote`.

        Raises:
            ArtefactError: there was none, or it is refused; nothing is changed then.
        """
        with self.writing():
            line = history.line_of_actives(self.history(), self.at("active"))
            if len(line) < 2:
                noun = self._kind.noun
                raise self._kind.error(f"{self.folder}: no {noun} was active before this one; promote one by its name")
            check(line[-2])
            return self.move("rollback", line[-2], "active")

    def drop(self, state: str, name: str, what: str, why: str) -> Entry | None:
        """Take a pointer away, if it still is at `name`; `what` was done is in the history first, and `why`.

        Raises:
            ArtefactError: the folder cannot be written.
        """
        with self.writing():
            if self.at(state) != name:
                return None
            entry = self.note(what, name, was=name, why=why)
            (self.folder / state).unlink()
        return entry

    def note(self, what: str, name: str, to: str = "", was: str = "", why: str = "") -> Entry:
        """Into the history; whoever calls is `writing`."""
        who = f"{getpass.getuser()}@{socket.gethostname()}"
        entry = Entry(self._clock(), who, what, name, to, was, why)
        history.append(self.folder / HISTORY, entry)
        return entry

    def move(self, what: str, name: str, to: str) -> Entry:
        """Move a pointer; whoever calls is `writing`."""
        # In this order, so that `line_of_actives` understands the folder after a power cut between the two.
        was, pointer = self.at(to), self.folder / to
        if what == "rollback":
            write_atomically(pointer, f"{name}\n".encode())
            return self.note(what, name, to, was)
        entry = self.note(what, name, to, was)
        write_atomically(pointer, f"{name}\n".encode())
        return entry

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One writer at a time; what the disk refuses is an error of one line."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise self._kind.error(f"{self.folder}: cannot be written ({error.strerror})") from error


def number_of(name: str) -> tuple[int, str]:
    """Of a version, for putting them in order."""
    return int(name.partition("-")[0]), name
