"""A folder of releases with pointers to those in use; a running device follows them.

    0003-1f0c9a2b44de/       versions, never changed; see `split_core.release`
    candidate, trial, active    one line each: the name of a version
    history.jsonl            who moved which pointer when, hash-chained

`active` is what a device starts with.  `trial` is what it shall try beside it: the device itself makes that active when
it has stood the trial, or takes the pointer away and says why.  So a power cut in the middle, or a release that ends
the process, is followed by a start with what was good.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from split_core import release as releases
from split_core.errors import ReleaseError
from split_core.files import directory_written_atomically
from split_core.pointers import Kind, Pointers, now_iso, number_of
from split_core.registry import resolve
from split_core.release import Held, Ingredients, Release
from split_core.version_history import Entry

STATES = ("candidate", "trial", "active")
NAME = re.compile(r"[0-9]{1,9}-[0-9a-f]{12}")
KIND = Kind("release", STATES, NAME, ReleaseError)


class ReleaseStore:
    """One folder.

    Args:
        folder: it is made when the first release is added.
        signers: public keys in hex; when any are given, unsigned and altered releases are refused.
        clock: time of day for the history.
    """

    def __init__(self, folder: Path, signers: Sequence[str] = (), clock: Callable[[], str] = now_iso) -> None:
        self.folder, self._signers = folder, tuple(signers)
        self._pointers = Pointers(folder, KIND, clock)

    def pointer(self, state: str) -> str:
        """The name that a pointer holds; empty when there is none.

        Raises:
            ReleaseError: it holds something else than a name.
        """
        return self._pointers.at(state)

    def path(self, state: str) -> Path:
        """The folder behind a pointer.

        Raises:
            ReleaseError: there is none.
        """
        return self._pointers.path(state)

    def load(self, name: str) -> Release:
        """One version with all its files, checked.

        Raises:
            ReleaseError: not there, damaged, not what its name says, or not signed as asked.
        """
        self._pointers.check_name(name)
        release = releases.load(self.folder / name, self._signers)
        if release.name != name:
            raise ReleaseError(f"{self.folder / name}: holds {release.name}; copy the right one again")
        releases.check_files(self.folder / name, release)
        return release

    def versions(self) -> list[str]:
        """Names of all versions, in order of their numbers."""
        return self._pointers.versions()

    def history(self) -> list[Entry]:
        """What was done, oldest first.

        Raises:
            ReleaseError: the chain is broken.
        """
        return self._pointers.history()

    def add(self, held: Held, secret: Path | None = None) -> str:
        """Take in copies of a bundle, its policy and its profile as the candidate; returns the version's name.

        Args:
            held: where they are.
            secret: file of the key to sign with.

        Raises:
            ArtefactError: not usable, not for each other, or the folder cannot be written.
            ConfigError: no key in that file.
        """
        ingredients = Ingredients.of(held)
        _signature("", secret)  # a key that is none is refused before anything is written
        with self._pointers.writing():
            number = max((number_of(name)[0] for name in self.versions()), default=0) + 1
            release = ingredients.release(number)
            with directory_written_atomically(self.folder / release.name) as partial:
                ingredients.write(partial, release, _signature(release.id, secret))
            self._pointers.move("add", release.name, "candidate")
        return release.name

    def take(self, folder: Path, name: str) -> None:
        """A folder on the same file system becomes a version, whole, and is put on trial.

        Raises:
            ReleaseError: it is not what its name says, or the store cannot be written.
        """
        release = releases.load(folder, self._signers)
        if release.name != name:
            raise ReleaseError(f"{folder}: holds {release.name}, expected {name}; what serves it is at fault")
        releases.check_files(folder, release)
        with self._pointers.writing():
            os.replace(folder, self.folder / name)
            self._pointers.move("promote", name, "trial")

    def promote(self, to: str = "", name: str = "") -> Entry:
        """Move a version one state on, or straight to `to`.

        Args:
            to: "trial" or "active"; by default the next state.
            name: of a version; by default the one on trial when it goes to active and there is one, else the candidate.

        Raises:
            ReleaseError: nothing to promote, damaged, or unsigned; nothing is changed then.
        """
        return self._pointers.promote(to, name, self._check)

    def rollback(self) -> Entry:
        """Make the version active that was so before the present one.

        Raises:
            ReleaseError: there was none, or it is damaged; nothing is changed then.
        """
        return self._pointers.rollback(self._check)

    def refuse(self, name: str, why: str) -> Entry | None:
        """End the trial of a version, if it still is on trial.

        Raises:
            ReleaseError: the folder cannot be written.
        """
        return self._pointers.drop("trial", name, "refuse", why)

    def begin(self, name: str) -> int:
        """A trial begins; returns how many of it have begun since it was promoted, this one included.

        Raises:
            ReleaseError: the folder cannot be written.
        """
        with self._pointers.writing():
            self._pointers.note("try", name)
            tries = 0
            for entry in self.history():
                if entry.name == name:
                    tries = tries + 1 if entry.what == "try" else 0
        return tries

    def prune(self, keep: int) -> list[str]:
        """Delete old versions but the newest `keep` and those that a pointer or a rollback needs; returns their names.

        Raises:
            ReleaseError: the folder cannot be written.
        """
        with self._pointers.writing():
            was_active = [entry.name for entry in self.history() if entry.to == "active"]
            needed = {*map(self.pointer, STATES), *was_active[-2:]}
            old = [name for name in self.versions()[: -keep or None] if name not in needed]
            for name in old:
                shutil.rmtree(self.folder / name)
        return old

    def _check(self, name: str) -> None:
        self.load(name)


def _signature(release_id: str, secret: Path | None) -> str:
    if secret is None:
        return ""
    return str(resolve("split_core.signing:sign", "signing a release", "sign")(release_id, secret, "release"))
