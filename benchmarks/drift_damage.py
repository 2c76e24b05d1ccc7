"""Damages to grey pictures, by name, mildest first."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Images = NDArray[np.uint8]
Damage = Callable[[Images], Images]


def each(change: Callable[[Image.Image], Image.Image]) -> Damage:
    return lambda images: np.stack([np.asarray(change(Image.fromarray(image)), np.uint8) for image in images])


def jpeg(quality: int) -> Damage:
    def saved(image: Image.Image) -> Image.Image:
        data = io.BytesIO()
        image.save(data, "JPEG", quality=quality)
        return Image.open(io.BytesIO(data.getvalue()))

    return each(saved)


def blur(radius: float) -> Damage:
    return each(lambda image: image.filter(ImageFilter.GaussianBlur(radius)))


def darker(factor: float) -> Damage:
    return lambda images: (images * factor).astype(np.uint8)


def noise(sigma: float) -> Damage:
    def noisy(images: Images) -> Images:
        added = np.random.default_rng(0).normal(0, sigma, images.shape)
        return np.clip(images + added, 0, 255).astype(np.uint8)

    return noisy


DAMAGES: dict[str, dict[str, Damage]] = {
    "blur": {f"{radius} px": blur(radius) for radius in (0.3, 0.5, 0.7, 1.0, 1.5)},
    "brightness": {f"x{factor}": darker(factor) for factor in (0.9, 0.8, 0.65, 0.5, 0.35)},
    "noise": {f"{sigma}": noise(sigma) for sigma in (4, 8, 16, 32, 48)},
    "jpeg": {f"quality {quality}": jpeg(quality) for quality in (75, 40, 20, 10, 5)},
}
