"""Canonical images, uint8 (H, W, 1 or 3): what split 0 ships."""

from __future__ import annotations

import io
from typing import Any, Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from split_core.codecs.base import Encoded, compressed, decompressed, expect_params
from split_core.errors import CodecError
from split_core.tensors import Array


class Pixels:
    """The pixels themselves, + zstd."""

    kind: Literal["hidden", "input"] = "input"
    lossless = True

    def encode(self, array: Array) -> Encoded:
        """See `Codec.encode`."""
        return Encoded("uint8", _image_shape(array), (), compressed(array.tobytes()))

    def decode(self, encoded: Encoded) -> Array:
        """See `Codec.decode`."""
        expect_params(encoded, 0)
        data = decompressed(encoded.data, encoded.decoded_bytes)
        return np.frombuffer(data, encoded.dtype).reshape(encoded.shape)


class _Compressed:
    """An image file format of Pillow's."""

    kind: Literal["hidden", "input"] = "input"
    lossless = False
    format = ""
    options: dict[str, Any] = {}  # noqa: RUF012  (constant per class)

    def encode(self, array: Array) -> Encoded:
        """See `Codec.encode`."""
        shape = _image_shape(array)
        buffer = io.BytesIO()
        image = Image.fromarray(array[:, :, 0] if shape[2] == 1 else array)
        image.save(buffer, self.format, **self.options)
        return Encoded("uint8", shape, (), buffer.getvalue())

    def decode(self, encoded: Encoded) -> Array:
        """See `Codec.decode`."""
        expect_params(encoded, 0)
        if encoded.dtype != "uint8" or len(encoded.shape) != 3:
            raise CodecError(f"an image is uint8 (H, W, C), got {encoded.dtype} {encoded.shape}")
        height, width, channels = encoded.shape
        self._check_header(encoded)
        try:
            # The header is read first: an image of another size is refused before it is inflated.
            with Image.open(io.BytesIO(encoded.data), formats=[self.format]) as image:
                if image.size != (width, height):
                    raise CodecError(f"expected a {width}x{height} image, got {image.size[0]}x{image.size[1]}")
                pixels = np.array(image.convert("L" if channels == 1 else "RGB"), np.uint8)
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise CodecError(f"not a {self.format} image ({' '.join(str(error).split())})") from error
        if pixels.size != height * width * channels:
            raise CodecError(f"expected {channels} channels, got an image of {pixels.shape}")
        pixels.flags.writeable = False
        return pixels.reshape(encoded.shape)

    def _check_header(self, encoded: Encoded) -> None:
        """For formats where opening alone takes memory."""


class Png(_Compressed):
    """PNG: lossless."""

    lossless = True
    format = "PNG"
    options = {"compress_level": 6}  # noqa: RUF012


class Jpeg(_Compressed):
    """JPEG at quality 90, with Huffman tables of its own: they are most of a small picture's bytes."""

    format = "JPEG"
    options = {"quality": 90, "optimize": True}  # noqa: RUF012


class WebP(_Compressed):
    """WebP at quality 80: the plain lossy form, a single "VP8 " chunk."""

    format = "WEBP"
    options = {"quality": 80, "method": 2}  # noqa: RUF012

    def _check_header(self, encoded: Encoded) -> None:
        # Opening a WebP allocates its canvas, up to 2 GB, before anybody can ask for its size.
        header = bytes(encoded.data[:30])
        if len(header) < 30 or header[:4] + header[8:16] + header[23:26] != b"RIFFWEBPVP8 \x9d\x01\x2a":
            raise CodecError("not a plain lossy WebP image")
        width, height = (int.from_bytes(header[at : at + 2], "little") & 0x3FFF for at in (26, 28))
        if (height, width) != encoded.shape[:2]:
            raise CodecError(f"expected a {encoded.shape[1]}x{encoded.shape[0]} image, got {width}x{height}")


def _image_shape(array: Array) -> tuple[int, int, int]:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] not in (1, 3) or 0 in array.shape:
        raise CodecError(f"input codecs carry uint8 (H, W, 1 or 3), got {array.dtype} {array.shape}")
    return (int(array.shape[0]), int(array.shape[1]), int(array.shape[2]))
