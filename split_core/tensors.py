"""What a tensor must look like.  Checked once, where data enters; inside, the spec is trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
FloatArray = NDArray[np.float64]

# What may cross a boundary.  No object, no structured, no big-endian dtypes.
DTYPES = ("float32", "float16", "float64", "uint8", "int8", "int16", "int32", "int64", "bool")
ITEM_BYTES = {name: np.dtype(name).itemsize for name in DTYPES}


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, dtype and shape of a tensor; a leading `None` is the batch."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    def __post_init__(self) -> None:
        if self.dtype not in ITEM_BYTES:
            raise ValueError(f"tensor {self.name!r}: dtype must be one of {', '.join(DTYPES)}, got {self.dtype!r}")
        for axis, size in enumerate(self.shape):
            if size is None and axis == 0:
                continue
            if type(size) is not int or size <= 0:
                raise ValueError(f"tensor {self.name!r}: axis {axis} must be a positive integer, got {size!r}")

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one sample, without the batch axis."""
        return tuple(size for size in self.shape if size is not None)

    @property
    def row_bytes(self) -> int:
        """Bytes of one sample, uncompressed."""
        return math.prod(self.row_shape) * ITEM_BYTES[self.dtype]

    def mismatch(self, array: Array) -> str | None:
        """What is wrong with `array`, in words, or None when it fits."""
        return self.mismatch_of(array.dtype.name, array.shape)

    def mismatch_of(self, dtype: str, shape: tuple[int, ...]) -> str | None:
        """What is wrong with a tensor of this dtype and shape, or None when it fits."""
        fits = len(shape) == len(self.shape) and all(
            want is None or want == got for want, got in zip(self.shape, shape, strict=True)
        )
        if fits and dtype == self.dtype:
            return None
        return f"tensor {self.name!r}: expected {self.dtype} {self.shape}, got {dtype} {shape}"
