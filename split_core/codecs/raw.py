"""The tensor as it is, with or without zstd."""

from __future__ import annotations

from typing import Literal

import numpy as np

from split_core.codecs.base import Encoded, compressed, decompressed, expect_bytes, expect_params
from split_core.errors import CodecError
from split_core.tensors import DTYPES, Array


class Raw:
    """Row-major bytes of any whitelisted dtype."""

    kind: Literal["hidden", "input"] = "hidden"
    lossless = True

    def encode(self, array: Array) -> Encoded:
        """See `Codec.encode`."""
        if array.dtype.name not in DTYPES or not array.dtype.isnative:
            raise CodecError(f"dtype {array.dtype} cannot be shipped; expected one of {', '.join(DTYPES)}")
        return Encoded(array.dtype.name, array.shape, (), self._pack(array.tobytes()))

    def decode(self, encoded: Encoded) -> Array:
        """See `Codec.decode`."""
        expect_params(encoded, 0)
        data = self._unpack(encoded)
        expect_bytes(data, encoded.decoded_bytes)
        array = np.frombuffer(data, encoded.dtype).reshape(encoded.shape)
        array.flags.writeable = False
        return array

    def _pack(self, data: bytes) -> bytes:
        return data

    def _unpack(self, encoded: Encoded) -> bytes | memoryview:
        return encoded.data


class RawZstd(Raw):
    """`Raw` + zstd: pays on tensors with many zeros."""

    def _pack(self, data: bytes) -> bytes:
        return compressed(data)

    def _unpack(self, encoded: Encoded) -> bytes | memoryview:
        return decompressed(encoded.data, encoded.decoded_bytes)
