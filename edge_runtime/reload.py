"""A configuration that was changed while the camera runs: what can be taken between two frames, and what cannot."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from edge_runtime.artefacts import Artefacts, load_policy
from edge_runtime.camera import Camera
from edge_runtime.config import EdgeConfig
from edge_runtime.following.adoption import Adoption
from edge_runtime.following.policy_watch import Change, PolicyWatch
from split_core.config import parsed
from split_core.errors import SplitError, of_disk
from split_core.readings import Reader
from split_core.release import Held

log = structlog.get_logger("edge")

# Of everything else, something is made at the start that frames in flight hold on to: engines, sockets, open files.
CHANGEABLE = re.compile(
    r"policy|bandit(\..*)?|audit\.share|deadline_ms|margin_ms|source\.fps|streams\.[^.]+\.(source\.fps|deadline_ms)"
    r"|decisions_mb|decisions_keep"
)


@dataclass(frozen=True)
class Reload:
    """What was found in the file.

    Attributes:
        config: to be in force from here on: the old one with what can be changed.
        changed: names of the settings that are other in it.
        kept: names of those that the file changed, too, and that need a restart.
        policies: by camera, of those whose policy is another one now.
    """

    config: EdgeConfig
    changed: tuple[str, ...]
    kept: tuple[str, ...]
    policies: Mapping[str, Change]


def merged(old: EdgeConfig, new: EdgeConfig) -> tuple[EdgeConfig, tuple[str, ...], tuple[str, ...]]:
    """`old` with what may change of `new`; the names of those settings, and of those that may not.

    Raises:
        ConfigError: the two do not go together.
    """
    before, wanted = (flat(config.model_dump()) for config in (old, new))
    others = sorted(name for name in {*before, *wanted} if before.get(name) != wanted.get(name))
    fixed = {f"streams.{camera}" for camera in {*old.streams} ^ {*new.streams}}
    if Path(old.policy).is_dir() or Path(new.policy).is_dir():
        fixed.add("policy")  # a store is followed, or would have to be
    changed = tuple(n for n in others if CHANGEABLE.fullmatch(n) and not fixed & {n, ".".join(n.split(".")[:2])})
    document = old.model_dump()
    for name in changed:
        _take(document, new.model_dump(), name.split("."))
    config = parsed(document, EdgeConfig, "with what can change without a restart")
    return config, changed, tuple(name for name in others if name not in changed)


def as_running(running: EdgeConfig, config: EdgeConfig) -> EdgeConfig:
    """With releases, no file says which bundle, policy and profile are in force: those that run."""
    return config.with_release(_held(running)) if config.releases else config


def _held(config: EdgeConfig) -> Held:
    return Held(Path(config.bundle), Path(config.policy), Path(config.profile))


def flat(document: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """`{"link": {"address": ""}}` as `{"link.address": ""}`."""
    found: dict[str, Any] = {}
    for key, value in document.items():
        inner = flat(value, f"{above}{key}.") if isinstance(value, Mapping) and value else {f"{above}{key}": value}
        found.update(inner)
    return found


def _take(document: dict[str, Any], wanted: Mapping[str, Any], path: list[str]) -> None:
    first, *rest = path
    if rest and isinstance(document.get(first), dict) and isinstance(wanted.get(first), Mapping):
        _take(document[first], wanted[first], rest)
    else:
        document[first] = wanted.get(first)


class Reloader:
    """Reads the configuration again, in a thread of its own, when asked to.

    Args:
        config: in force.
        cameras: that run on it.
        check: refuses, by a `SplitError`, how a policy reads exits that does not fit the network.
        wake: called when something was found.

    Attributes:
        config: in force now.
        read: the file, as it is now; whoever asks sets it.
    """

    def __init__(
        self,
        config: EdgeConfig,
        cameras: Mapping[str, Camera],
        check: Callable[[Reader], None],
        wake: Callable[[], None],
    ) -> None:
        self.config, self._cameras, self._check, self._wake = config, cameras, check, wake
        self.read: Callable[[], EdgeConfig] = lambda: self.config
        self._asked = threading.Event()
        self._thread = threading.Thread()
        self._found: Reload | None = None

    def ask(self, *_: object) -> None:
        """The file has changed; usable in a signal handler."""
        self._asked.set()
        self._wake()

    def moved(self, files: EdgeConfig) -> None:
        """A release is in force; what is read from here on is compared with its files."""
        self.config, self._found = self.config.with_release(_held(files)), None

    def tick(self, adopt: Mapping[str, Adoption], watch: PolicyWatch | None) -> None:
        """Between two frames: put in force what was found; begin to read when somebody asked."""
        if self._found is not None:
            found, self._found = self._found, None
            if found.config.bundle == self.config.bundle:
                self.config = found.config
                if watch:
                    watch.configure(found.config.cameras())
                take(found, self._cameras, adopt)
            else:  # a release came into force while the file was read
                self._asked.set()
        if self._asked.is_set() and not self._thread.is_alive():
            self._asked.clear()
            self._thread = threading.Thread(target=self._look, name="reload", daemon=True)
            self._thread.start()

    def _look(self) -> None:
        try:
            self._found = self.found()
        except SplitError as error:
            log.error("reload refused, nothing has changed", reason=str(error))
        except OSError as error:
            log.error("reload refused, nothing has changed", reason=of_disk(error) or str(error))
        self._wake()

    def found(self) -> Reload:
        """Read and check.

        Raises:
            SplitError: the file, or the policy that it names, cannot be used.
        """
        config, changed, kept = merged(self.config, as_running(self.config, self.read()))
        own = config.cameras()
        running = {name: camera.artefacts for name, camera in self._cameras.items()}
        policies = {name: change for name in running if (change := self._policy(running[name], own[name]))}
        return Reload(config, changed, kept, policies)

    def _policy(self, running: Artefacts, config: EdgeConfig) -> Change | None:
        """The policy that is named now, if it is another one."""
        policy_file, arrays = load_policy(Path(config.policy), config.policy_keys)
        wanted = running.of_camera(config).under(policy_file, arrays, config.policy)
        if (wanted.policy_file.id, wanted.bandit) == (running.policy_file.id, running.bandit):
            return None
        rules = wanted.rules()
        self._check(rules.reader)
        return Change("active", wanted, rules, wanted.hello(), wanted.codecs())


def take(found: Reload, cameras: Mapping[str, Camera], adopt: Mapping[str, Adoption]) -> None:
    """The next frames follow other settings; those in flight end by the old ones."""
    for name, own in found.config.cameras().items():
        cameras[name].configure(own)
        if name in found.policies:
            adopt[name](found.policies[name])
    if found.kept:
        log.warning("these settings need a restart, the old ones stay", settings=list(found.kept))
    log.info("reloaded", changed=list(found.changed), policies=list(found.policies))
