"""Pixels to the network's input, the same on a device and on a worker, to the pixel.

Two steps with the *canonical image* between them: `canonical` (resize, colour) runs where the camera
is; `tensor` (scale, normalise, lay out) runs wherever segment 1 runs.  What split 0 ships is the
canonical image, so both sides feed segment 1 the same numbers when the codec loses nothing.
"""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from split_core.errors import DataError
from split_core.tensors import Array


class Preprocess(BaseModel):
    """How a frame becomes an input; part of the manifest.

    Attributes:
        height, width: size of the canonical image.
        colour: "gray" gives one channel, "rgb" three.
        mean, std: per channel, of pixels scaled to [0, 1].
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    height: int = Field(gt=0)
    width: int = Field(gt=0)
    colour: Literal["gray", "rgb"] = "rgb"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    @property
    def channels(self) -> int:
        """1 or 3."""
        return 1 if self.colour == "gray" else 3

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the canonical image."""
        return (self.height, self.width, self.channels)

    @cached_property
    def _affine(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Scale and offset per channel: tensor = pixels * scale - offset."""
        std = np.asarray(self.std, np.float32)
        return np.float32(1.0) / (np.float32(255.0) * std), np.asarray(self.mean, np.float32) / std

    def canonical(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resize (bilinear) and convert colour: uint8 (H, W, 1 or 3) -> uint8 `image_shape`.

        Raises:
            DataError: `pixels` is no such image.
        """
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or 0 in pixels.shape:
            raise DataError(f"expected uint8 (H, W, 1 or 3) pixels, got {pixels.dtype} {pixels.shape}")
        if pixels.shape == self.image_shape:
            return pixels
        image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
        image = image.convert("L" if self.colour == "gray" else "RGB")
        if image.size != (self.width, self.height):
            image = image.resize((self.width, self.height), Image.Resampling.BILINEAR)
        return np.asarray(image, np.uint8).reshape(self.image_shape)

    def tensor(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Canonical image(s) (..., H, W, C) uint8 -> float32 (N, C, H, W); a single image gives N = 1."""
        batch = image.reshape(-1, *self.image_shape)
        scale, offset = self._affine
        scaled = batch.astype(np.float32)
        scaled *= scale
        scaled -= offset
        return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))


def read_image(path: str) -> Array:
    """An image file as uint8 (H, W, 3).

    Raises:
        DataError: not an image, or a truncated one.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"), np.uint8)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not a readable image ({error})") from error
