"""Trained arrays of criteria: an `.npz` that is never unpickled, and whose hash is in the policy."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from split_core.errors import ConfigError, PolicyFileError, reason
from split_core.files import sha256_of, write_atomically
from split_core.tensors import Array, FloatArray

# What a file of arrays may say of itself, beside the arrays.
CRITERION, BUNDLE = "criterion", "bundle"


def about(arrays: Mapping[str, Array], key: str) -> str:
    """What the file says of itself under `CRITERION` or `BUNDLE`; empty when nothing."""
    found = arrays.get(key)
    return str(found) if found is not None and found.dtype.kind == "U" and found.ndim == 0 else ""


def write_arrays(arrays: Mapping[str, Array], path: Path) -> str:
    """Write as `.npz`, atomically; returns its SHA-256, which goes into the policy."""
    buffer = io.BytesIO()
    named: dict[str, Any] = {name: np.asarray(array) for name, array in arrays.items()}
    np.savez(buffer, **named)
    write_atomically(path, buffer.getvalue())
    return sha256_of(buffer.getvalue())


def read_arrays(path: Path, sha256: str) -> dict[str, Array]:
    """What `write_arrays` wrote.

    Raises:
        PolicyFileError: not there, not of this hash, or no `.npz` of plain arrays.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PolicyFileError(
            f"{path}: the criterion's arrays cannot be read ({error.strerror}); copy them beside the policy"
        ) from error
    found = sha256_of(content)
    if found != sha256:
        raise PolicyFileError(f"{path}: hashes to {found[:12]}, the policy says {sha256[:12]}; train it again")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise PolicyFileError(f"{path}: not an .npz of plain arrays ({reason(error)}); train it again") from error


def array(arrays: Mapping[str, Array], name: str, *shape: int | None) -> FloatArray:
    """The array `name` as float64; None in `shape` stands for any size.

    Raises:
        ConfigError: not there, another shape, or not finite numbers.
    """
    if name not in arrays:
        raise ConfigError(f"its arrays hold no {name!r}; there are: {', '.join(arrays) or 'none'}")
    found = arrays[name]
    fits = found.ndim == len(shape) and all(want in (None, got) for want, got in zip(shape, found.shape, strict=True))
    if not fits:
        raise ConfigError(f"array {name!r}: expected shape {shape}, got {found.shape}")
    if found.dtype.kind not in "fiu" or not np.isfinite(found).all():
        raise ConfigError(f"array {name!r}: expected finite numbers, got {found.dtype}")
    return np.asarray(found, np.float64)
