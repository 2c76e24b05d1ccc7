"""What a tensor must look like.  Checked once, where data enters; inside, the spec is trusted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
FloatArray = NDArray[np.float64]

# What may cross a boundary.  No object, no structured, no big-endian dtypes.
DTYPES = ("float32", "float16", "float64", "uint8", "int8", "int16", "int32", "int64", "bool")
ITEM_BYTES = {name: np.dtype(name).itemsize for name in DTYPES}


# A size: an integer, or the name of a dynamic axis ("sequence"); the same name means the same size.
Dim = int | str


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, dtype and shape of a tensor.

    A leading `None` is the batch; other axes are integers, or names of dynamic axes.  A leading 1 is a
    fixed batch of one: such a network runs sample by sample.
    """

    name: str
    dtype: str
    shape: tuple[Dim | None, ...]

    def __post_init__(self) -> None:
        if self.dtype not in ITEM_BYTES:
            raise ValueError(f"tensor {self.name!r}: dtype must be one of {', '.join(DTYPES)}, got {self.dtype!r}")
        for axis, size in enumerate(self.shape):
            if (size is None and axis == 0) or (type(size) is str and size.isidentifier()):
                continue
            if type(size) is not int or size <= 0:
                raise ValueError(f"tensor {self.name!r}: axis {axis} must be a positive size or a name, got {size!r}")

    @property
    def row_shape(self) -> tuple[Dim, ...]:
        """Shape of one sample, without the batch axis."""
        return tuple(size for size in self.shape[1:] if size is not None)

    def sized(self, axes: Mapping[str, int], rows: int = 1) -> tuple[int, ...]:
        """The shape with a batch of `rows` and the dynamic axes as long as `axes` says."""
        return tuple(rows if size is None else axes[size] if isinstance(size, str) else size for size in self.shape)

    def row_bytes(self, axes: Mapping[str, int]) -> int:
        """Bytes of one sample, uncompressed, when the dynamic axes are as long as `axes` says."""
        return math.prod(self.sized(axes)) * ITEM_BYTES[self.dtype]

    def mismatch(self, array: Array) -> str | None:
        """What is wrong with `array`, in words, or None when it fits."""
        return self.mismatch_of(array.dtype.name, array.shape)

    def mismatch_of(self, dtype: str, shape: tuple[int, ...]) -> str | None:
        """What is wrong with a tensor of this dtype and shape, or None when it fits."""
        fits = len(shape) == len(self.shape) and all(
            got > 0 if isinstance(want, str) else want in (None, got)
            for want, got in zip(self.shape, shape, strict=True)
        )
        if fits and dtype == self.dtype:
            return None
        return f"tensor {self.name!r}: expected {self.dtype} {self.shape}, got {dtype} {shape}"


def axis_sizes(specs: Sequence[TensorSpec], shapes: Sequence[tuple[int, ...]]) -> dict[str, int] | str:
    """How long each dynamic axis is in tensors that fit their specs; in words what is wrong when two disagree."""
    sizes: dict[str, int] = {}
    for spec, shape in zip(specs, shapes, strict=True):
        for want, got in zip(spec.shape, shape, strict=True):
            if isinstance(want, str) and sizes.setdefault(want, got) != got:
                return f"tensor {spec.name!r}: axis {want!r} is {got} long here and {sizes[want]} elsewhere"
    return sizes
