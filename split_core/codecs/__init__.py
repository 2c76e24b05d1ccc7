"""Codecs: a tensor to bytes and back.  `hidden` ones carry hidden states, `input` ones images or token ids."""

from __future__ import annotations

from split_core.registry import Registry

CODECS = Registry(
    "codec",
    {
        "raw": "split_core.codecs.raw:Raw",
        "rawz": "split_core.codecs.raw:RawZstd",
        "u8": "split_core.codecs.affine:Affine8",
        "u8z": "split_core.codecs.affine:Affine8Zstd",
        "pixels": "split_core.codecs.image:Pixels",
        "png": "split_core.codecs.image:Png",
        "jpeg": "split_core.codecs.image:Jpeg",
        "webp": "split_core.codecs.image:WebP",
        "tokens": "split_core.codecs.tokens:Tokens",
    },
)
