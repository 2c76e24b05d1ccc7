"""What a codec must do, and what travels between its two halves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import zstandard

from split_core.errors import CodecError
from split_core.tensors import ITEM_BYTES, Array

ZSTD_LEVEL = 1  # level 3 buys 2 % of size for twice the time on 8-bit hidden states


@dataclass(frozen=True, slots=True)
class Encoded:
    """One tensor, encoded.

    Attributes:
        dtype, shape: of the tensor that `decode` gives back, batch axis included.
        params: what the codec needs besides the data: scale and offset, for example.
        data: the bytes that travel; nobody may write to them afterwards.
    """

    dtype: str
    shape: tuple[int, ...]
    params: tuple[float, ...]
    data: bytes | memoryview

    @property
    def decoded_bytes(self) -> int:
        """Size of the decoded tensor."""
        return math.prod(self.shape) * ITEM_BYTES[self.dtype]


class Codec(Protocol):
    """Both halves of a codec; stateless, so one object serves all threads.

    Attributes:
        kind: "hidden" for what crosses a cut, "input" for what split 0 ships: uint8 (H, W, C) images, or token ids.
        lossless: does `decode(encode(x))` give x bit for bit?
    """

    kind: Literal["hidden", "input"]
    lossless: bool

    def encode(self, array: Array) -> Encoded:
        """Encode; copies what it keeps.

        Raises:
            CodecError: not a tensor of this kind, or not finite where the codec needs that.
        """

    def decode(self, encoded: Encoded) -> Array:
        """The tensor, read-only.  `dtype` and `shape` have been checked against the receiver's limits.

        Raises:
            CodecError: the bytes do not make the tensor that is announced.
        """


def expect_params(encoded: Encoded, count: int) -> None:
    """Refuse another number of parameters.

    Raises:
        CodecError: as it says.
    """
    if len(encoded.params) != count:
        raise CodecError(f"expected {count} codec parameters, got {len(encoded.params)}")


def expect_bytes(data: bytes | memoryview, count: int) -> None:
    """Refuse another number of bytes.

    Raises:
        CodecError: as it says.
    """
    if len(data) != count:
        raise CodecError(f"expected {count} bytes of tensor, got {len(data)}")


def compressed(data: bytes | memoryview) -> bytes:
    """Zstd with the content size in its header."""
    return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(data)


def decompressed(data: bytes | memoryview, expected_bytes: int) -> bytes:
    """Inflate to exactly `expected_bytes`; a bomb is refused by its header, before any memory is taken.

    Raises:
        CodecError: not zstd, or another size.
    """
    try:
        announced = zstandard.frame_content_size(data)
        if announced != expected_bytes:
            raise CodecError(f"zstd frame inflates to {announced} bytes, the tensor has {expected_bytes}")
        return zstandard.ZstdDecompressor().decompress(data)
    except zstandard.ZstdError as error:
        raise CodecError(f"not a zstd frame ({error})") from error
