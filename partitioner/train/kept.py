"""An `.npz` that a training keeps what it has reached in: written whole, nothing unpickled, of one training only."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from partitioner.data import arrays_of
from split_core.errors import ConfigError, DataError
from split_core.files import write_atomically
from split_core.tensors import Array


class KeptArrays:
    """The file.

    Args:
        path: where; None keeps nothing.
        key: says which training this is; a file of another is refused.
        began_with: what, beside samples and options, a training goes on with: "bundle" or "module".
    """

    def __init__(self, path: Path | None, key: str, began_with: str) -> None:
        self.path, self._key, self._began_with = path, key, began_with

    def read(self, names: tuple[str, ...]) -> dict[str, Array]:
        """All arrays, `names` among them; nothing where there is no file yet.

        Raises:
            DataError: the file is damaged.
            ConfigError: it is of another training.
        """
        if self.path is None or not self.path.exists():
            return {}
        stored = arrays_of(self.path, ("key", *names), every=True)
        if str(stored["key"]) != self._key:
            raise ConfigError(
                f"{self.path}: of another training; remove it, "
                f"or give the {self._began_with}, samples and options it began with"
            )
        return stored

    def write(self, arrays: dict[str, Array]) -> None:
        """Keep these, in the place of what was there.

        Raises:
            DataError: the disk refuses.
        """
        if self.path is None:
            return
        buffer = io.BytesIO()
        np.savez(buffer, **{"key": np.array(self._key), **arrays})  # type: ignore[arg-type]  # none is called file
        try:
            write_atomically(self.path, buffer.getvalue())
        except OSError as error:
            raise DataError(f"{self.path}: cannot be written ({error.strerror})") from error
