"""Brings the release that is active elsewhere into this device's store, over HTTP, and puts it on trial.

What is served is a store as any other, by any web server: `<url>/active` holds a name, `<url>/<name>/release.json`
lists the files.  Nothing is unpacked, so there are no archives with surprises: each file is asked for by the name that
the signed list gives it, is never longer than the list says, and becomes part of the store when all are whole.
A transfer that was cut off goes on where it ended; files that an older release has, too, are not sent again.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import structlog

from edge_runtime.releases.download import Web
from edge_runtime.releases.section import ReleasesSection
from split_core import release as releases
from split_core.errors import ReleaseError, SplitError, of_disk
from split_core.files import sha256_of_file, write_atomically
from split_core.release import MAX_LIST_BYTES, RELEASE, Part, Release
from split_core.release_store import NAME, ReleaseStore

log = structlog.get_logger("edge")

CLOSE_S = 1.0
INCOMING, PULLED = ".incoming", "pulled"
MAX_NAME_BYTES = 100
SPARE_BYTES = 64 << 20  # stay free on the disk: for logs and state


class Puller:
    """Looks at a URL.  No thread of its own.

    Args:
        store: of this device.
        signers: public keys in hex; a list of files that none of them has signed is not followed.
        url: of the store there.
        web: does the transfers.
        most_bytes: of a release.
        keep: older versions that stay here, beside those that a rollback needs.
        free_bytes: on the disk of a folder.
    """

    def __init__(
        self,
        store: ReleaseStore,
        signers: tuple[str, ...],
        url: str,
        web: Web,
        *,
        most_bytes: int,
        keep: int,
        free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        self._store, self._signers, self._url, self._web = store, signers, url.rstrip("/"), web
        self._most_bytes, self._keep, self._free_bytes = most_bytes, keep, free_bytes
        self._etag = ""

    def look(self) -> str:
        """Bring what is active there and was not brought yet; the name of its version, empty where there was nothing.

        Raises:
            ReleaseError: there is nothing usable, or the transfer was cut off; the next look goes on.
            OSError: the disk refuses.
        """
        data, etag = self._web.get(f"{self._url}/active", MAX_NAME_BYTES, self._etag)
        if data is None:  # as it was
            return ""
        name = data.decode("ascii", "replace").strip()
        if not NAME.fullmatch(name):
            raise ReleaseError(f"{self._url}/active: expected the name of a version, got {name[:40]!r}")
        brought = "" if name == self._pulled() else self._bring(name)
        self._etag = etag  # now, so that what failed is looked at again
        return brought

    def _bring(self, name: str) -> str:
        """Returns the name, empty when it is active here already."""
        active = name == self._store.pointer("active")
        if not active:
            self._put_on_trial(name)
        write_atomically(self._store.folder / PULLED, f"{name}\n".encode())
        return "" if active else name

    def _put_on_trial(self, name: str) -> None:
        self._prune()
        if name in self._store.versions():  # rolled back there, or put on trial there once more
            self._store.promote("trial", name)
        else:
            self._store.take(self._transferred(name), name)

    def _prune(self) -> None:
        with suppress(ReleaseError):  # too little room is said when there is too little
            self._store.prune(self._keep)

    def _pulled(self) -> str:
        """What was brought last: it may have been refused here since, and is not tried again and again."""
        path = self._store.folder / PULLED
        return path.read_text(encoding="ascii", errors="replace").strip() if path.exists() else ""

    def _transferred(self, name: str) -> Path:
        """A folder with all files."""
        where = f"{self._url}/{name}/{RELEASE}"
        data, _ = self._web.get(where, MAX_LIST_BYTES)
        assert data is not None
        release = releases.parsed(data, self._signers, where)
        if release.name != name:
            raise ReleaseError(f"{where}: is that of {release.name}; expected {name}")
        folder = self._incoming(name)
        self._expect_room(release, folder)
        try:
            there = self._there()
            for part in release.files:
                self._bring_file(part, f"{self._url}/{name}/{part.file}", folder / part.file, there)
            write_atomically(folder / RELEASE, data)
        except OSError:  # a disk that is full stays so if what was begun stays
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return folder

    def _incoming(self, name: str) -> Path:
        """Where its files are gathered; what was begun of others is given up."""
        incoming = self._store.folder / INCOMING
        incoming.mkdir(parents=True, exist_ok=True)
        for other in incoming.iterdir():
            if other.name != name:
                shutil.rmtree(other)
        (incoming / name).mkdir(exist_ok=True)
        return incoming / name

    def _expect_room(self, release: Release, folder: Path) -> None:
        if release.total_bytes > self._most_bytes:
            raise ReleaseError(f"{self._url}/{release.name}: {_mb(release.total_bytes)}, expected at most max_mb")
        begun = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        free = self._free_bytes(folder) - SPARE_BYTES
        if release.total_bytes - begun > free:
            need = _mb(release.total_bytes - begun)
            raise ReleaseError(f"{self._url}/{release.name}: needs {need} more, {_mb(free)} are free; make room")

    def _there(self) -> dict[str, Path]:
        """Files of the versions here, by hash."""
        found: dict[str, Path] = {}
        for name in self._store.versions():
            with suppress(ReleaseError):
                release = releases.load(self._store.folder / name)
                found |= {part.sha256: self._store.folder / name / part.file for part in release.files}
        return found

    def _bring_file(self, part: Part, url: str, path: Path, there: dict[str, Path]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and sha256_of_file(path) == part.sha256:
            return
        path.unlink(missing_ok=True)
        same = there.get(part.sha256)
        if same and same.exists() and sha256_of_file(same) == part.sha256:
            _link(same, path)
        else:
            self._web.save(url, path, part)


def _link(same: Path, path: Path) -> None:
    """Versions never change, so two may share a file."""
    try:
        os.link(same, path)
    except OSError:  # not on this file system
        shutil.copyfile(same, path)


def _mb(size: int) -> str:
    return f"{size / 1e6:.0f} MB"


class Pull:
    """A `Puller` in a thread of its own.

    Args:
        make: the puller, given what says that there shall be no more transfers.
        every_s: how often it looks, up to a tenth more or less: the devices of a fleet shall not all come at once.
        rng: draws that.
        tell: told in one line what keeps it from bringing a release.
    """

    def __init__(
        self,
        make: Callable[[Callable[[], bool]], Puller],
        every_s: float,
        rng: np.random.Generator,
        tell: Callable[[str], None],
    ) -> None:
        self._ending = threading.Event()
        self._puller, self._every_s, self._rng, self._tell = make(self._ending.is_set), every_s, rng, tell
        self._said = ""
        self._thread = threading.Thread(target=self._run, name="release-pull", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """End the thread, if it was started; a transfer is given up, and goes on after the next start."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(CLOSE_S)

    def _run(self) -> None:
        while not self._ending.is_set():
            self._look()
            self._ending.wait(self._every_s * self._rng.uniform(0.9, 1.1))

    def _look(self) -> None:
        try:
            if name := self._puller.look():
                log.info("release brought", release=name)
            self._said = ""
        except SplitError as error:
            self._say(str(error))
        except OSError as error:
            self._say(of_disk(error) or str(error))

    def _say(self, line: str) -> None:
        if line != self._said and not self._ending.is_set():
            self._said = line
            self._tell(line)


def puller(section: ReleasesSection, ending: Callable[[], bool] = bool) -> Puller:
    """Names become objects.

    Args:
        section: with a URL.
        ending: says that there shall be no more transfers.
    """
    store = ReleaseStore(Path(section.store), section.keys)
    most_bytes = int(section.max_mb * 1e6)
    return Puller(store, section.keys, section.url, Web(ending), most_bytes=most_bytes, keep=section.keep)


def bring_first(section: ReleasesSection) -> None:
    """What is active elsewhere is so here, too, on a device that has no release yet to compare it with.

    Raises:
        ReleaseError: there is nothing usable.
        OSError: the disk refuses.
    """
    store = ReleaseStore(Path(section.store), section.keys)
    if section.url and not store.pointer("active"):
        puller(section).look()
        store.promote("active")
