"""Weights that stay outside an ONNX file, which ends at 2 GB: where they are, and files made of some of them."""

from __future__ import annotations

import hashlib
import itertools
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
class Region:
    """`size` bytes of a file from `offset` on."""

    path: Path
    offset: int
    size: int

    def blocks(self) -> Iterator[bytes]:
        """The bytes, some at a time."""
        with self.path.open("rb") as source:
            source.seek(self.offset)
            left = self.size
            while left > 0 and (block := source.read(min(left, BLOCK))):
                yield block
                left -= len(block)


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes in memory."""

    data: bytes

    @property
    def size(self) -> int:
        """How many."""
        return len(self.data)

    def blocks(self) -> Iterator[bytes]:
        """All at once."""
        yield self.data


@dataclass(frozen=True)
class Weights:
    """A file of weights, laid out one after another so that each can be mapped into memory."""

    contents: tuple[Region | Held, ...]

    @cached_property
    def places(self) -> tuple[int, ...]:
        """Where each begins."""
        sizes = [-(-content.size // ALIGNMENT) * ALIGNMENT for content in self.contents]
        return tuple(itertools.accumulate(sizes[:-1], initial=0))

    @property
    def size_bytes(self) -> int:
        """Size of the file."""
        return self.places[-1] + self.contents[-1].size

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
        for place, content in zip(self.places, self.contents, strict=True):
            yield bytes(place - end)
            yield from content.blocks()
            end = place + content.size


def put_outside(tensors: Sequence[TensorProto], contents: Sequence[Region | Held], location: str) -> Weights:
    """Point `tensors`, in place, to a file named `location` that holds `contents`, one for each; returns that file."""
    weights = Weights(tuple(contents))
    for tensor, place, content in zip(tensors, weights.places, contents, strict=True):
        point_outside(tensor, location, place, content.size)
    return weights


def point_outside(tensor: TensorProto, location: str, offset: int, size: int) -> None:
    """Let the tensor, in place, have its values in a file beside the model."""
    header = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    tensor.CopyFrom(header)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(size))):
        tensor.external_data.add(key=key, value=value)


def region_of(tensor: TensorProto, folder: Path) -> Region:
    """Where the values of an external tensor are."""
    info = ExternalDataInfo(tensor)
    offset = info.offset or 0
    path = folder / info.location
    return Region(path, offset, info.length or path.stat().st_size - offset)


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
