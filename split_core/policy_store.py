"""A folder of policy files with pointers to those in use; a running edge follows the pointer `active`.

0003-1f0c9a2b44de.yaml   versions, never changed
candidate, shadow, active   one line each: the name of a version
history.jsonl            who moved which pointer when, hash-chained
arrays/                  of criteria that have any, by hash
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from split_core import policy as policies
from split_core.errors import PolicyFileError
from split_core.files import write_atomically
from split_core.pointers import Kind, Pointers, now_iso
from split_core.policy import PolicyFile
from split_core.version_history import Entry

STATES = ("candidate", "shadow", "active")
KIND = Kind("policy", STATES, re.compile(r"[0-9]+-[0-9a-f]{12}\.yaml"), PolicyFileError)


class PolicyStore:
    """One folder.

    Args:
        folder: it is made when the first policy is added.
        signers: public keys in hex; when any are given, unsigned and altered files are refused.
        clock: time of day for the history.
    """

    def __init__(self, folder: Path, signers: Sequence[str] = (), clock: Callable[[], str] = now_iso) -> None:
        self.folder, self._signers = folder, tuple(signers)
        self._pointers = Pointers(folder, KIND, clock)

    def pointer(self, state: str) -> str:
        """The name that a pointer holds; empty when there is none.

        Raises:
            PolicyFileError: it holds something else than a name.
        """
        return self._pointers.at(state)

    def path(self, state: str) -> Path:
        """The file behind a pointer.

        Raises:
            PolicyFileError: there is none.
        """
        return self._pointers.path(state)

    def load(self, name: str) -> PolicyFile:
        """One version, checked.

        Raises:
            PolicyFileError: not there, damaged, not what its name says, or not signed.
        """
        self._pointers.check_name(name)
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
        return self._pointers.versions()

    def history(self) -> list[Entry]:
        """What was done, oldest first.

        Raises:
            PolicyFileError: the chain is broken.
        """
        return self._pointers.history()

    def add(self, file: Path) -> str:
        """Take in a copy of `file` as the candidate; returns its name.

        Raises:
            PolicyFileError: not usable, or the folder cannot be written.
        """
        policy = policies.load(file, self._signers)
        policy.reader(file.parent)  # the criterion's arrays are there, and those that the policy names
        name, data = name_of(policy), file.read_bytes()
        with self._pointers.writing():
            if policy.criterion_arrays:
                arrays = policy.criterion_arrays.file
                write_atomically(self.arrays_folder(policy) / arrays, (file.parent / arrays).read_bytes())
            write_atomically(self.folder / name, data)
            self._pointers.move("add", name, "candidate")
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
        return self._pointers.promote(to, name, lambda version: self._check(version, bundle_id))

    def rollback(self, bundle_id: str = "") -> Entry:
        """Make the version active that was so before the present one.

        Raises:
            PolicyFileError: there was none, or it is damaged or for another bundle; nothing is changed then.
        """
        return self._pointers.rollback(lambda version: self._check(version, bundle_id))

    def _check(self, name: str, bundle_id: str) -> None:
        policy, active = self.load(name), self.pointer("active")
        policy.reader(self.arrays_folder(policy))
        wanted = bundle_id or (self.load(active).bundle_id if active else policy.bundle_id)
        policy.check_bound_to(wanted, len(policy.exits), str(self.folder / name))


def name_of(policy: PolicyFile) -> str:
    """File name of a version in a store."""
    return f"{policy.version:04d}-{policy.id[:12]}.yaml"


def policy_path(path: Path) -> Path:
    """A policy file itself, or the active one of a store.

    Raises:
        PolicyFileError: a store without an active policy.
    """
    return PolicyStore(path).path("active") if path.is_dir() else path
