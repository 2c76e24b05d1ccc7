"""A few numbers of a picture that say what it was taken with and in what light, cheap enough for every frame."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

# What is looked at: about so many rows, and so many pixels of each, from the middle; neighbours stay neighbours.
ROWS, COLUMNS = 16, 256


def appearance(pixels: NDArray[np.uint8]) -> dict[str, float]:
    """Brightness, contrast and sharpness, of a coloured picture's green, and its saturation.

    Brightness is the mean and contrast the standard deviation.  Sharpness is the mean size of second differences
    along the rows over that of first differences: a blur lowers it, noise raises it, and what the picture shows
    matters less to it than to either.  Saturation is the mean of the largest channel less the smallest.

    Sums are of whole numbers, so every machine gets the same.

    Args:
        pixels: (H, W, 1 or 3), canonical.
    """
    step, left = max(1, pixels.shape[0] // ROWS), max(0, pixels.shape[1] - COLUMNS) // 2
    part = pixels[step // 2 :: step, left : left + COLUMNS]
    values = part[:, :, pixels.shape[2] // 2].astype(np.float64)
    flat = values.ravel()
    mean = float(np.add.reduce(flat)) / flat.size
    spread = math.sqrt(max(0.0, float(flat @ flat) / flat.size - mean * mean))
    first = values[:, 1:] - values[:, :-1]
    steps = _total(first)
    found = {
        "brightness": mean,
        "contrast": spread,
        "sharpness": _total(first[:, 1:] - first[:, :-1]) / steps if steps else 0.0,  # 0: a flat picture
    }
    if pixels.shape[2] == 3:
        found["saturation"] = _saturation(part[:, ::4])
    return found


def _total(differences: NDArray[np.float64]) -> float:
    return float(np.add.reduce(np.abs(differences), axis=None))


def _saturation(part: NDArray[np.uint8]) -> float:
    red, green, blue = (part[:, :, channel] for channel in range(3))
    largest, smallest = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    return float(np.add.reduce(largest - smallest, axis=None)) / largest.size
