"""Follows the pointers of a policy store while the camera runs; reads and checks in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.artefacts import Artefacts
from edge_runtime.config import EdgeConfig
from edge_runtime.frames.ticket import Rules
from split_core import wire
from split_core.codecs.base import Codec
from split_core.errors import PolicyFileError, SplitError
from split_core.policy_store import PolicyStore, name_of
from split_core.readings import Reader

LOOK_EVERY_S = 0.5


@dataclass(frozen=True)
class Change:
    """A policy that was found behind a pointer, loaded and checked.

    Attributes:
        state: "active" or "shadow".
        artefacts: with that policy; None when the shadow was taken away.
        rules, hello, codecs: made of them; the rules fit the network.
    """

    state: str
    artefacts: Artefacts | None = None
    rules: Rules | None = None
    hello: wire.Hello | None = None
    codecs: dict[str, tuple[str, Codec]] | None = None


class Follower:
    """Compares pointers with what was last taken from them.  No thread; `look` reads files.

    Args:
        artefacts: the bundle and profile that run, and the configuration that names the store.
        refused: told in one line about a policy that is not taken; the old one stays in force.
        check: refuses, by a `SplitError`, how a policy reads exits that does not fit the network.
    """

    def __init__(
        self,
        artefacts: Artefacts,
        refused: Callable[[str], None],
        check: Callable[[Reader], None] = lambda _: None,
    ) -> None:
        self._artefacts, self._refused, self._check = artefacts, refused, check
        self._store = PolicyStore(Path(artefacts.config.policy), artefacts.config.policy_keys)
        self._taken = {"active": name_of(artefacts.policy_file), "shadow": ""}
        self._said = {"active": "", "shadow": ""}

    def configure(self, config: EdgeConfig) -> None:
        """What is found from here on is made for other settings."""
        self._artefacts = self._artefacts.of_camera(config)

    def look(self) -> list[Change]:
        """What has changed since the last look."""
        return [change for state in ("active", "shadow") for change in self._look_at(state)]

    def _look_at(self, state: str) -> list[Change]:
        try:
            name = self._store.pointer(state)
            if name == self._taken[state] or (not name and state == "active"):
                return []
            change = self._loaded(state, name) if name else Change(state)
        except SplitError as error:  # tried again at the next look: the file may still be on its way
            self._say(state, str(error))
            return []
        self._taken[state], self._said[state] = name, ""
        return [change]

    def _loaded(self, state: str, name: str) -> Change:
        policy_file = self._store.load(name)
        artefacts = self._artefacts.under(policy_file, self._store.arrays_folder(policy_file), name)
        rules = artefacts.rules()
        try:
            self._check(rules.reader)
        except SplitError as error:
            raise PolicyFileError(f"{self._store.folder / name}: {error}") from error
        return Change(state, artefacts, rules, artefacts.hello(), artefacts.codecs())

    def _say(self, state: str, line: str) -> None:
        if line != self._said[state]:
            self._said[state] = line
            self._refused(line)


class PolicyWatch:
    """Looks every half second; the frame loop takes what was found when it suits it.

    Args:
        followers: look, one for each camera.
        wake: called when something was found.
    """

    def __init__(self, followers: Mapping[str, Follower], wake: Callable[[], None]) -> None:
        self._followers, self._wake = dict(followers), wake
        self._found: list[tuple[str, Change]] = []
        self._lock, self._ending = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="policy-watch", daemon=True)

    def start(self) -> None:
        """Begin to look: when the network is warm, for new rules are checked on it."""
        self._thread.start()

    def configure(self, configs: Mapping[str, EdgeConfig]) -> None:
        """What is found from here on is made for other settings."""
        for camera, follower in self._followers.items():
            follower.configure(configs[camera])

    def take(self) -> list[tuple[str, Change]]:
        """What was found since the last call, and for which camera; costs next to nothing when that is nothing."""
        if not self._found:
            return []
        with self._lock:
            found, self._found = self._found, []
        return found

    def close(self) -> None:
        """End the thread, if it was started."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._ending.wait(LOOK_EVERY_S):
            changes = [(camera, change) for camera, follower in self._followers.items() for change in follower.look()]
            if changes:
                with self._lock:
                    self._found = [*self._found, *changes]
                self._wake()
