from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from partitioner.calibrate.reliability import BINS, KNOTS, calibration_error, fit_map, never_decreasing
from split_core.readings import ExitCalibration

shares = st.floats(0.0, 1.0)


def test_the_error_of_one_bin_is_the_gap_between_confidence_and_accuracy() -> None:
    confidence = np.full(10, 0.8)
    correct = np.array([True] * 6 + [False] * 4)
    assert calibration_error(confidence, correct) == pytest.approx(0.2)


def test_bins_count_by_their_samples() -> None:
    # 30 samples at 0.95, all right: gap 0.05; 10 samples at 0.55, 2 right: gap 0.35.
    confidence = np.array([0.95] * 30 + [0.55] * 10)
    correct = np.array([True] * 32 + [False] * 8)
    assert calibration_error(confidence, correct) == pytest.approx((30 * 0.05 + 10 * 0.35) / 40)


def test_over_and_under_confidence_in_one_bin_cancel_and_in_two_do_not() -> None:
    correct = np.array([True, False])
    assert calibration_error(np.array([0.51, 0.49]), correct, bins=1) == pytest.approx(0.0)
    assert calibration_error(np.array([0.51, 0.49]), correct, bins=2) == pytest.approx(0.49)


def test_certainty_belongs_to_the_last_bin() -> None:
    assert calibration_error(np.array([1.0, 1.0]), np.array([True, True])) == 0.0


def test_honest_confidences_have_hardly_any_error() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.random(50_000)
    assert calibration_error(confidence, rng.random(50_000) < confidence) < 0.01


@given(st.lists(st.tuples(shares, st.booleans()), min_size=1, max_size=200))
def test_the_error_is_a_share(samples: list[tuple[float, bool]]) -> None:
    confidence, correct = (np.array(column) for column in zip(*samples, strict=True))
    assert 0.0 <= calibration_error(confidence, correct, BINS) <= 1.0 + 1e-12


@given(st.lists(st.tuples(st.floats(-10, 10), st.floats(0.1, 10)), min_size=1, max_size=60))
def test_pooling_agrees_with_scipy(pairs: list[tuple[float, float]]) -> None:
    values, weights = (np.array(column) for column in zip(*pairs, strict=True))
    expected = isotonic_regression(values, weights=weights).x
    np.testing.assert_allclose(never_decreasing(values, weights), expected, atol=1e-9)


def test_pooling_of_a_hand_worked_sequence() -> None:
    found = never_decreasing(np.array([1.0, 3.0, 2.0, 4.0]), np.array([1.0, 1.0, 3.0, 1.0]))
    np.testing.assert_allclose(found, [1.0, 2.25, 2.25, 4.0])


@given(st.lists(st.tuples(shares, st.booleans()), min_size=1, max_size=300))
def test_any_map_is_monotone_short_and_never_certain(samples: list[tuple[float, bool]]) -> None:
    scores, correct = (np.array(column) for column in zip(*samples, strict=True))
    knots, accuracies = fit_map(scores, correct)
    ExitCalibration(1.0, knots, accuracies)  # refuses what decreases
    assert 1 <= len(knots) == len(accuracies) <= KNOTS
    assert all(0.0 < accuracy < 1.0 for accuracy in accuracies)
    assert all(a < b for a, b in pairwise(knots))


def test_a_bent_confidence_is_straightened() -> None:
    rng = np.random.default_rng(1)
    chance = rng.random(20_000)
    correct = rng.random(20_000) < chance
    scores = chance**3  # a monotone distortion, as an overfitted or a shy network has
    knots, accuracies = fit_map(scores, correct)
    mapped = np.interp(scores, knots, accuracies)
    assert calibration_error(scores, correct) > 0.2
    assert calibration_error(mapped, correct) < 0.02
