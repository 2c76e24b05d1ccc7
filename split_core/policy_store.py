"""A folder of policy files with pointers to those in use; a running edge follows the pointer `active`.

    0003-1f0c9a2b44de.yaml   versions, never changed
    candidate, shadow, active   one line each: the name of a version
    history.jsonl            who moved which pointer when, hash-chained
    arrays/                  of criteria that have any, by hash

Moving a pointer is one rename, so whoever reads it sees the old version or the new one.
"""

from __future__ import annotations

import fcntl
import getpass
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from split_core import policy as policies
from split_core import policy_history as history
from split_core.errors import PolicyFileError, reason
from split_core.files import write_atomically
from split_core.policy import PolicyFile
from split_core.policy_history import Entry

STATES = ("candidate", "shadow", "active")
_NAME = re.compile(r"[0-9]+-[0-9a-f]{12}\.yaml")


def now_iso() -> str:
    """The time of day, for people."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


class PolicyStore:
    """One folder.

    Args:
        folder: it is made when the first policy is added.
        signers: public keys in hex; when any are given, unsigned and altered files are refused.
        clock: time of day for the history.
    """

    def __init__(self, folder: Path, signers: Sequence[str] = (), clock: Callable[[], str] = now_iso) -> None:
        self.folder, self._signers, self._clock = folder, tuple(signers), clock

    def pointer(self, state: str) -> str:
        """The name that a pointer holds; empty when there is none.

        Raises:
            PolicyFileError: it holds something else than a name.
        """
        path = self.folder / state
        try:
            name = path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise PolicyFileError(
                f"{path}: cannot be read ({reason(error)}); 'offramp policy promote' writes it anew"
            ) from error
        if name and not _NAME.fullmatch(name):
            raise PolicyFileError(f"{path}: expected the name of a version, got {name[:40]!r}")
        return name

    def path(self, state: str) -> Path:
        """The file behind a pointer.

        Raises:
            PolicyFileError: there is none.
        """
        name = self.pointer(state)
        if not name:
            raise PolicyFileError(f"{self.folder}: no {state} policy; 'offramp policy add' and 'promote' make one")
        return self.folder / name

    def load(self, name: str) -> PolicyFile:
        """One version, checked.

        Raises:
            PolicyFileError: not there, damaged, not what its name says, or not signed.
        """
        if not _NAME.fullmatch(name):
            raise PolicyFileError(f"{self.folder}: {name!r} is no version; there are: {', '.join(self.versions())}")
        policy = policies.load(self.folder / name, self._signers)
        if name != name_of(policy):
            raise PolicyFileError(f"{self.folder / name}: holds {name_of(policy)}; copy the right file again")
        return policy

    def arrays_folder(self, policy: PolicyFile) -> Path:
        """Where the criterion's arrays lie: versions may give different arrays one name, so one folder per hash."""
        arrays = policy.criterion_arrays
        return self.folder / "arrays" / arrays.sha256[:12] if arrays else self.folder

    def versions(self) -> list[str]:
        """Names of all versions, in order of their numbers."""
        names = [path.name for path in self.folder.glob("*.yaml") if _NAME.fullmatch(path.name)]
        return sorted(names, key=lambda name: (int(name.partition("-")[0]), name))

    def history(self) -> list[Entry]:
        """What was done, oldest first.

        Raises:
            PolicyFileError: the chain is broken.
        """
        return history.read(self._history_path)

    def add(self, file: Path) -> str:
        """Take in a copy of `file` as the candidate; returns its name.

        Raises:
            PolicyFileError: not usable, or the folder cannot be written.
        """
        policy = policies.load(file, self._signers)
        policy.reader(file.parent)  # the criterion's arrays are there, and those that the policy names
        name, data = name_of(policy), file.read_bytes()
        with self._writing():
            if policy.criterion_arrays:
                arrays = policy.criterion_arrays.file
                write_atomically(self.arrays_folder(policy) / arrays, (file.parent / arrays).read_bytes())
            write_atomically(self.folder / name, data)
            self._move("add", name, "candidate")
        return name

    def promote(self, to: str = "", name: str = "", bundle_id: str = "") -> Entry:
        """Move a version one state on, or straight to `to`.

        Args:
            to: "shadow" or "active"; by default the next state.
            name: of a version; by default the shadow when it goes to active and there is one, else the candidate.
            bundle_id: the bundle it must be for; by default that of the active policy.

        Raises:
            PolicyFileError: nothing to promote, damaged, unsigned, or for another bundle; nothing is changed then.
        """
        with self._writing():
            candidate, shadow = self.pointer("candidate"), self.pointer("shadow")
            to = to or ("shadow" if candidate else "active")
            name = name or ((shadow or candidate) if to == "active" else candidate)
            if not name:
                raise PolicyFileError(f"{self.folder}: nothing to promote; 'offramp policy add STORE FILE' comes first")
            self._check(name, bundle_id)
            entry = self._move("promote", name, to)
            for passed in STATES[: STATES.index(to)]:
                if self.pointer(passed) == name:
                    (self.folder / passed).unlink()
        return entry

    def rollback(self, bundle_id: str = "") -> Entry:
        """Make the version active that was so before the present one.

        Raises:
            PolicyFileError: there was none, or it is damaged or for another bundle; nothing is changed then.
        """
        with self._writing():
            line = history.line_of_actives(self.history(), self.pointer("active"))
            if len(line) < 2:
                raise PolicyFileError(f"{self.folder}: no policy was active before this one; promote one by its name")
            self._check(line[-2], bundle_id)
            return self._move("rollback", line[-2], "active")

    def _check(self, name: str, bundle_id: str) -> None:
        policy, active = self.load(name), self.pointer("active")
        policy.reader(self.arrays_folder(policy))
        wanted = bundle_id or (self.load(active).bundle_id if active else policy.bundle_id)
        policy.check_bound_to(wanted, len(policy.exits), str(self.folder / name))

    def _move(self, what: str, name: str, to: str) -> Entry:
        entry = Entry(self._clock(), f"{getpass.getuser()}@{socket.gethostname()}", what, name, to, self.pointer(to))
        # In this order, so that `line_of_actives` understands the folder after a power cut between the two.
        if what == "rollback":
            write_atomically(self.folder / to, f"{name}\n".encode())
            history.append(self._history_path, entry)
        else:
            history.append(self._history_path, entry)
            write_atomically(self.folder / to, f"{name}\n".encode())
        return entry

    @property
    def _history_path(self) -> Path:
        return self.folder / "history.jsonl"

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One writer at a time; what the disk refuses is an error of one line."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise PolicyFileError(f"{self.folder}: cannot be written ({error.strerror})") from error


def name_of(policy: PolicyFile) -> str:
    """File name of a version in a store."""
    return f"{policy.version:04d}-{policy.id[:12]}.yaml"


def policy_path(path: Path) -> Path:
    """A policy file itself, or the active one of a store.

    Raises:
        PolicyFileError: a store without an active policy.
    """
    return PolicyStore(path).path("active") if path.is_dir() else path
