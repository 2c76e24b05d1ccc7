from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from split_core.appearance import COLUMNS, ROWS, appearance
from split_core.drift.histogram import input_histograms
from split_core.preprocess import Preprocess


def picture(seed: int = 0, side: int = 64, channels: int = 3) -> np.ndarray:
    """Smooth patches of colour, as photographs have."""
    coarse = np.random.default_rng(seed).integers(40, 216, (8, 8, 3), np.uint8)
    image = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(image)[:, :, :channels]


def filtered(pixels: np.ndarray, radius: float) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))


def noisy(pixels: np.ndarray, sigma: float) -> np.ndarray:
    added = np.random.default_rng(0).normal(0, sigma, pixels.shape)
    return np.clip(pixels + added, 0, 255).astype(np.uint8)


def test_three_numbers_by_hand() -> None:
    # 1, 2, 4, 1: mean 2, squares 1 + 4 + 16 + 1 = 22, variance 22 / 4 - 4; steps 1 2 -3, second 1 -5: 6 / 6
    row = np.array([1, 2, 4, 1], np.uint8).reshape(1, 4, 1)
    by_hand = {"brightness": 2.0, "contrast": 1.5**0.5, "sharpness": 1.0}
    assert appearance(row) == pytest.approx(by_hand)


def test_saturation_is_of_coloured_pictures_only() -> None:
    red = np.tile(np.array([200, 50, 0], np.uint8), (20, 20, 1))
    assert appearance(red)["saturation"] == 200.0
    assert appearance(red)["brightness"] == 50.0  # green's
    assert "saturation" not in appearance(red[:, :, :1])


def test_a_flat_picture_has_no_sharpness_and_no_contrast() -> None:
    assert appearance(np.full((5, 1, 1), 9, np.uint8)) == {"brightness": 9.0, "contrast": 0.0, "sharpness": 0.0}


@pytest.mark.parametrize("seed", range(5))
def test_each_number_moves_with_its_damage(seed: int) -> None:
    clean = picture(seed)
    found = appearance(clean)
    assert appearance(clean // 2)["brightness"] == pytest.approx(found["brightness"] / 2, abs=1)
    assert appearance(clean // 2)["contrast"] == pytest.approx(found["contrast"] / 2, abs=1)
    assert appearance(noisy(clean, 8))["sharpness"] > 1.5 * found["sharpness"]
    assert appearance(filtered(noisy(clean, 8), 2))["sharpness"] < appearance(noisy(clean, 8))["sharpness"]
    grey = np.repeat(clean.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
    assert appearance(grey)["saturation"] == 0.0 < found["saturation"]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3), (ROWS, COLUMNS), (5 * ROWS + 3, 3 * COLUMNS + 1)])
def test_any_size_will_do(height: int, width: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    assert all(0.0 <= value < 256.0 for value in appearance(pixels).values())


def test_a_calibration_of_pictures_knows_what_they_look_like() -> None:
    intake = Preprocess(height=64, width=64)
    made = input_histograms(intake, [picture(seed) for seed in range(60)])
    assert sorted(made) == ["brightness", "contrast", "saturation", "sharpness"]
    assert [sum(one.counts) for one in made.values()] == [30] * 4  # the others placed the edges
