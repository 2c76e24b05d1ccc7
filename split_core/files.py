"""Writing files so that nothing is ever half-written, and hashing them."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

BLOCK = 1 << 20


def sha256_of(data: bytes) -> str:
    """Hex digest of `data`."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Hex digest of a file's content, read in blocks.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def canonical_json(value: Any) -> bytes:
    """The one spelling of a JSON value that is hashed: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path`: a reader sees the old file or the new one, also after power loss.

    Raises:
        OSError: the disk is full or not writable; `path` is then untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(partial, 0o644)
        os.replace(partial, path)
    except OSError:
        Path(partial).unlink(missing_ok=True)
        raise


def drop_unfinished(path: Path) -> None:
    """Remove what a process that died while it wrote `path` has left beside it; for who alone writes there."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        with suppress(OSError):
            left.unlink()


@contextmanager
def directory_written_atomically(path: Path) -> Iterator[Path]:
    """A temporary directory beside `path` that becomes `path` when the block ends without an error.

    An existing `path` is replaced at that moment; on an error it is untouched, and no new folder above it stays.
    """
    new = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial"))
    try:
        yield partial
        os.chmod(partial, 0o755)
        _swap(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        with suppress(OSError):  # one that is not empty stays, and so do those above it
            for folder in new:
                folder.rmdir()


def _swap(partial: Path, path: Path) -> None:
    if not path.exists():
        os.rename(partial, path)
        return
    # rename() cannot replace a directory that is not empty: move the old one aside first.
    old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".old"))
    os.rename(path, old / "was")
    os.rename(partial, path)
    shutil.rmtree(old)
