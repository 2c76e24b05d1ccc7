"""Token ids, int64 (rows, tokens): what split 0 ships of a text."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from split_core.codecs.base import Encoded, expect_bytes, expect_params
from split_core.errors import CodecError
from split_core.tensors import Array

WIDTHS: dict[float, np.dtype[Any]] = {2.0: np.dtype("<u2"), 4.0: np.dtype("<u4")}


class Tokens:
    """Two bytes a token, four where a vocabulary is larger than 65,536.

    About half of the text's own bytes, so nothing is compressed further: zstd makes a sentence longer.
    """

    kind: Literal["hidden", "input"] = "input"
    lossless = True

    def encode(self, array: Array) -> Encoded:
        """See `Codec.encode`."""
        if array.dtype != np.int64 or array.ndim != 2 or array.size == 0:
            raise CodecError(f"tokens carries int64 (rows, tokens) that is not empty, got {array.dtype} {array.shape}")
        low, high = int(array.min()), int(array.max())
        if low < 0 or high > 0xFFFFFFFF:
            raise CodecError(f"tokens carries ids of 0..{0xFFFFFFFF}, got {low}..{high}")
        width = 2.0 if high <= 0xFFFF else 4.0
        return Encoded("int64", array.shape, (width,), array.astype(WIDTHS[width]).tobytes())

    def decode(self, encoded: Encoded) -> Array:
        """See `Codec.decode`."""
        expect_params(encoded, 1)
        width = WIDTHS.get(encoded.params[0])
        if encoded.dtype != "int64" or len(encoded.shape) != 2 or width is None:
            raise CodecError(
                f"tokens carries int64 (rows, tokens), got {encoded.dtype} {encoded.shape}, width {encoded.params[0]}"
            )
        expect_bytes(encoded.data, math.prod(encoded.shape) * width.itemsize)
        ids: Array = np.frombuffer(encoded.data, width).astype(np.int64).reshape(encoded.shape)
        ids.flags.writeable = False
        return ids
