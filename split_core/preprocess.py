"""Pixels to the network's input, the same on a device and on a worker, to the pixel.

Two steps with the *canonical image* between them: `canonical` (colour, resize, crop or fill) runs where
the camera is; `tensor` (scale, normalise, lay out) runs wherever segment 1 runs.  What split 0 ships is
the canonical image, so both sides feed segment 1 the same numbers when the codec loses nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
)

from split_core.appearance import appearance
from split_core.errors import DataError, reason
from split_core.tensors import Array, TensorSpec
from split_core.tokeniser import Tokeniser

RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
# Of the canonical size.  A 1x10000 strip with its short side at 256 would take 2 GB; what lies beyond
# this is cut off before it is enlarged, for the crop would take it away.
MAX_OVERHANG = 16

ORIENTATION = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Preprocess(BaseModel):
    """How a frame becomes an input; part of the manifest.

    A picture is converted to the colour, resized, and what is then larger than `height` x `width` is cut
    off around the centre, what is smaller is filled.  One that has the canonical shape already is taken
    for a canonical image and not touched.

    Attributes:
        height, width: size of the canonical image.
        colour: "gray" gives one channel, "rgb" and "bgr" three; for "bgr" the canonical image is still
            RGB (codecs know nothing else) and the tensor's channels are reversed.
        resize: "exact" to `resize_to`; "shortest" brings the shorter side to `resize_to`, "letterbox"
            fits the whole picture into height x width, both keep the aspect; "none" leaves it.
        resize_to: (height, width) for "exact", or None for the canonical size; pixels for "shortest".
        resample: Pillow's filter.
        align: where a letterboxed picture lies: in the centre or in the top left corner.
        fill: what surrounds a picture that is smaller, 0..255.
        scale: what pixels are multiplied with before they are normalised; 1/255 gives [0, 1].
        mean, std: of scaled pixels, one number or one per channel of the tensor.
        layout: "nchw" or "nhwc".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    height: int = Field(gt=0)
    width: int = Field(gt=0)
    colour: Literal["gray", "rgb", "bgr"] = "rgb"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    resize: Literal["exact", "shortest", "letterbox", "none"] = "exact"
    resize_to: Annotated[int, Field(gt=0)] | tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]] | None = (
        Field(default=None, validate_default=True)
    )
    resample: Literal["nearest", "box", "bilinear", "bicubic", "lanczos"] = "bilinear"
    align: Literal["centre", "corner"] = "centre"
    fill: int = Field(default=0, ge=0, le=255)
    layout: Literal["nchw", "nhwc"] = "nchw"
    scale: float = Field(default=1 / 255, gt=0.0, allow_inf_nan=False)

    @field_validator("mean", "std")
    @classmethod
    def _one_or_one_per_channel(cls, value: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        colour = info.data.get("colour")
        channels = 1 if colour == "gray" else 3
        if colour is not None and len(value) not in (1, channels):
            raise ValueError(f"expected {'1 number' if channels == 1 else '1 or 3 numbers'} for colour {colour!r}")
        if not all(abs(number) <= np.finfo(np.float32).max for number in value):  # also false for NaN
            raise ValueError("expected finite numbers")
        if info.field_name == "std" and not all(number > np.finfo(np.float32).tiny for number in value):
            raise ValueError("expected numbers greater than 0, as float32")
        return value

    @field_validator("resize_to")
    @classmethod
    def _fits_resize(cls, value: int | tuple[int, int] | None, info: ValidationInfo) -> int | tuple[int, int] | None:
        resize = info.data.get("resize")
        if resize == "shortest" and not isinstance(value, int):
            raise ValueError("expected the pixels of the shorter side, for example 256, with resize: shortest")
        if resize == "exact" and isinstance(value, int):
            raise ValueError("expected [height, width] with resize: exact")
        if resize in ("letterbox", "none") and value is not None:
            raise ValueError(f"says nothing with resize: {resize}; leave it out")
        return value

    @property
    def channels(self) -> int:
        """1 or 3."""
        return 1 if self.colour == "gray" else 3

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the canonical image."""
        return (self.height, self.width, self.channels)

    @property
    def row_shape(self) -> tuple[int, int, int]:
        """Shape of one image in the tensor: (C, H, W) or (H, W, C)."""
        height, width, channels = self.image_shape
        return (channels, height, width) if self.layout == "nchw" else (height, width, channels)

    @cached_property
    def _levels(self) -> NDArray[np.float32]:
        """(C, 256): what each pixel value becomes in each channel of the tensor.

        A table, so that no compiler's fused multiply-add tells one machine from another.  Rounded where
        transformers' image processors round.
        """
        scaled = (np.arange(256, dtype=np.float64) * self.scale).astype(np.float32)
        mean, std = (np.asarray(values, np.float32)[:, None] for values in (self.mean, self.std))
        levels: NDArray[np.float32] = np.broadcast_to((scaled - mean) / std, (self.channels, 256))
        return levels

    def canonical(self, pixels: Array | str) -> NDArray[np.uint8]:
        """Convert colour, resize, crop or fill: uint8 (H, W, 1 or 3) -> uint8 `image_shape`.

        Raises:
            DataError: `pixels` is no such image.
        """
        if isinstance(pixels, str):
            raise DataError(f"expected uint8 (H, W, 1 or 3) pixels, got the text {pixels[:40]!r}")
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or 0 in pixels.shape:
            raise DataError(f"expected uint8 (H, W, 1 or 3) pixels, got {pixels.dtype} {pixels.shape}")
        if pixels.shape == self.image_shape:
            return pixels
        if isinstance(self.resize_to, int):
            pixels = self._without_overhang(pixels, self.resize_to)
        image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
        image = image.convert("L" if self.colour == "gray" else "RGB")
        height, width = self._resized(image.height, image.width)
        if image.size != (width, height):
            image = image.resize((width, height), RESAMPLING[self.resample])
        return self._framed(np.asarray(image, np.uint8).reshape(height, width, self.channels))

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        """What a picture of this size is resized to, (height, width)."""
        if self.resize == "none":
            return height, width
        if isinstance(self.resize_to, int):
            short = min(height, width)
            return self.resize_to * height // short, self.resize_to * width // short
        if self.resize == "letterbox":
            # The side that meets its limit, as a fraction, so that nothing is rounded twice.
            limit, side = min((self.height, height), (self.width, width), key=lambda pair: pair[0] / pair[1])
            return max(1, round(height * limit / side)), max(1, round(width * limit / side))
        return self.resize_to or (self.height, self.width)

    def _without_overhang(self, pixels: NDArray[np.uint8], resized_short: int) -> NDArray[np.uint8]:
        """The middle of a strip so long that its ends would be enlarged only to be cut off."""
        height, width, _ = pixels.shape
        short = min(height, width)
        # Whole squares at each end: they are whole pixels when enlarged, so the rest stays where it was.
        above, left = (
            max(0, have - MAX_OVERHANG * max(wanted, resized_short) * short // resized_short) // 2 // short * short
            for have, wanted in ((height, self.height), (width, self.width))
        )
        return pixels[above : height - above, left : width - left]

    def _framed(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Cut off or filled to the canonical size."""
        pixels = _middle(pixels, min(pixels.shape[0], self.height), min(pixels.shape[1], self.width))
        if pixels.shape == self.image_shape:
            return np.ascontiguousarray(pixels)
        height, width, _ = pixels.shape
        centred = self.align == "centre" or self.resize != "letterbox"
        # Rounded up, as transformers rounds.
        top, left = (
            -((have - want) // 2) if centred else 0 for have, want in ((height, self.height), (width, self.width))
        )
        framed = np.full(self.image_shape, self.fill, np.uint8)
        framed[top : top + height, left : left + width] = pixels
        return framed

    def tensor(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Canonical image(s) (..., H, W, C) uint8 -> float32 (N, *row_shape); a single image gives N = 1."""
        batch = image.reshape(-1, *self.image_shape)
        made = np.empty((len(batch), *self.row_shape), np.float32)
        planes = made if self.layout == "nchw" else made.transpose(0, 3, 1, 2)
        for channel, levels in enumerate(self._levels):
            source = self.channels - 1 - channel if self.colour == "bgr" else channel
            planes[:, channel] = levels[batch[..., source]]
        return made

    # What follows makes it a `split_core.intake.Intake`.
    codec: ClassVar[str] = "webp"
    together: ClassVar[int] = 64
    batches: ClassVar[bool] = True

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """What split 0 carries on the wire: the canonical image."""
        return (TensorSpec("image", "uint8", self.image_shape),)

    def tensors(self, items: Array) -> list[Array]:
        """The network's one input; see `tensor`."""
        return [self.tensor(items)]

    def stack(self, items: Sequence[Array]) -> Array:
        """Canonical images as one array (N, H, W, C)."""
        return np.stack(items)

    def unstack(self, items: Array) -> list[Array]:
        """The images of a stack."""
        return list(items)

    def measures(self, item: Array) -> dict[str, float]:
        """See `appearance`."""
        return appearance(item)

    def blank(self) -> NDArray[np.uint8]:
        """A black canonical image."""
        return np.zeros(self.image_shape, np.uint8)


def _middle(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The centre of an image that is at least this large."""
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return pixels[top : top + height, left : left + width]


def kind_of(document: Any) -> str:
    """The tag in `AnyPreprocess`: "text" for what names a tokeniser, else "image"."""
    is_text = "tokeniser" in document if isinstance(document, dict) else isinstance(document, Tokeniser)
    return "text" if is_text else "image"


# What a manifest may say about its network's input.
AnyPreprocess = Annotated[
    Annotated[Preprocess, Tag("image")] | Annotated[Tokeniser, Tag("text")], Discriminator(kind_of)
]


def read_image(path: str) -> Array:
    """An image file as uint8 (H, W, 3), turned upright if its EXIF says how.

    Here and nowhere else: a canonical image is upright, and codecs ignore EXIF.

    Raises:
        DataError: not an image, a truncated one, or one of more pixels than Pillow thinks safe.
    """
    try:
        with Image.open(path) as image:
            # Pillow warns from here on and refuses from twice as many; a camera has no use for either.
            if Image.MAX_IMAGE_PIXELS and image.width * image.height > Image.MAX_IMAGE_PIXELS:
                raise DataError(
                    f"{path}: {image.width}x{image.height} pixels; expected {Image.MAX_IMAGE_PIXELS} at most"
                )
            turn = UPRIGHT.get(image.getexif().get(ORIENTATION, 1))
            pixels = image.convert("RGB")
            return np.asarray(pixels if turn is None else pixels.transpose(turn), np.uint8)
    except (
        OSError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError, Image.DecompressionBombWarning
    ) as error:  # fmt: skip
        raise DataError(f"{path}: not a readable image ({reason(error)}); expected a PNG, JPEG or the like") from error
