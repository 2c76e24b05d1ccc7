"""Weights that stay outside an ONNX file, which ends at 2 GB: where they are, and files made of some of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from onnx import ModelProto, TensorProto
from onnx.external_data_helper import ExternalDataInfo, uses_external_data

from split_core.errors import ModelError
from split_core.files import sha256_of, sha256_of_file

ALIGNMENT = 4096  # so that engines can map a weight into memory
BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Slice:
    """`length` bytes of a file from `offset` on, to be put at `place`."""

    path: Path
    offset: int
    length: int
    place: int


@dataclass(frozen=True)
class Weights:
    """A file of weights that is made of slices of others, in the order of their places."""

    slices: tuple[Slice, ...]

    @property
    def size_bytes(self) -> int:
        """Size of the file."""
        return self.slices[-1].place + self.slices[-1].length

    @cached_property
    def sha256(self) -> str:
        """Hex digest of the file's content."""
        digest = hashlib.sha256()
        for block in self._blocks():
            digest.update(block)
        return digest.hexdigest()

    def write_to(self, path: Path) -> None:
        """Make the file.

        Raises:
            OSError: a source cannot be read or the disk refuses.
        """
        with path.open("wb") as file:
            file.writelines(self._blocks())

    def _blocks(self) -> Iterator[bytes]:
        end = 0
        for piece in self.slices:
            yield bytes(piece.place - end)
            with piece.path.open("rb") as source:
                source.seek(piece.offset)
                left = piece.length
                while left > 0 and (block := source.read(min(left, BLOCK))):
                    yield block
                    left -= len(block)
            end = piece.place + piece.length


def gathered(tensors: list[TensorProto], folder: Path, location: str) -> Weights | None:
    """Point the external ones of `tensors`, in place, to one file named `location`; returns what that file holds."""
    slices: list[Slice] = []
    end = 0
    for tensor in tensors:
        if not uses_external_data(tensor):
            continue
        info = ExternalDataInfo(tensor)
        length = info.length or (folder / info.location).stat().st_size - (info.offset or 0)
        slices.append(Slice(folder / info.location, info.offset or 0, length, end))
        del tensor.external_data[:]
        for key, value in (("location", location), ("offset", str(end)), ("length", str(length))):
            tensor.external_data.add(key=key, value=value)
        end = -(-(end + length) // ALIGNMENT) * ALIGNMENT
    return Weights(tuple(slices)) if slices else None


def digest_of(model: bytes, files: Sequence[Path]) -> str:
    """SHA-256 of a network: of its file alone, or of the file and those with its weights together.

    Raises:
        OSError: one of `files` cannot be read.
    """
    if not files:
        return sha256_of(model)
    return sha256_of("".join([sha256_of(model), *map(sha256_of_file, files)]).encode())


def external_files(model: ModelProto, folder: Path) -> list[Path]:
    """Files in `folder` that hold weights of `model`, each once.

    Raises:
        ModelError: one is missing, too short, or outside the folder.
    """
    files: dict[Path, int] = {}
    for tensor in model.graph.initializer:
        if uses_external_data(tensor):
            info = ExternalDataInfo(tensor)
            path = folder / info.location
            if not path.resolve().is_relative_to(folder.resolve()):
                raise ModelError(
                    f"weights {tensor.name!r} are said to be in {info.location}, outside the model's folder"
                )
            files[path] = max(files.get(path, 0), (info.offset or 0) + (info.length or 0))
    for path, needed in files.items():
        if not path.is_file() or path.stat().st_size < needed:
            raise ModelError(f"its external weights {path.name} are missing or too short; copy them beside the file")
    return list(files)
