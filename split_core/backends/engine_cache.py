"""Engines on disk.  An engine is bound to one TensorRT, one GPU and one recipe, so all of these are in its key."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import structlog

from split_core.errors import ConfigError
from split_core.files import canonical_json, sha256_of, write_atomically

log = structlog.get_logger("tensorrt")
DIGEST_BYTES = hashlib.sha256().digest_size


def default_folder() -> Path:
    """`$XDG_CACHE_HOME/offramp/engines`, by default under `~/.cache`.

    Raises:
        ConfigError: this user has no home, as in some containers.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():  # the specification says that a relative path there is to be ignored
        try:
            base = Path.home() / ".cache"
        except RuntimeError as error:
            raise ConfigError("cache: this user has no home directory; say in which folder engines are kept") from error
    return base / "offramp" / "engines"


def key_of(**parts: object) -> str:
    """Hex digest over everything that an engine depends on; JSON values only."""
    return sha256_of(canonical_json(parts))


class EngineCache:
    """A folder of `<key>.engine` files: the SHA-256 of an engine, then the engine.

    Loading an engine runs what is in it: the folder must be writable by nobody else, and is made so.

    Args:
        folder: made when the first engine is stored.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: str) -> bytes | None:
        """The engine stored under `key`; None when there is none, or it is damaged."""
        try:
            content = self._path(key).read_bytes()
        except OSError:
            return None
        digest, engine = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
        if hashlib.sha256(engine).digest() != digest:
            log.warning("cached engine is damaged, building it again", file=str(self._path(key)))
            return None
        return engine

    def put(self, key: str, engine: bytes) -> None:
        """Store an engine.  A disk that refuses costs a build at the next start, and is no reason not to run."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(self._path(key), hashlib.sha256(engine).digest() + engine)
        except OSError as error:
            log.warning("engine cannot be cached", folder=str(self.folder), reason=error.strerror)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.engine"
