from __future__ import annotations

import math

import numpy as np
import pytest

from partitioner.calibrate.temperature import COLDEST, HOTTEST, fit_temperature, log_loss
from tests.partitioner.calibrate.synthetic import honest_logits


@pytest.mark.parametrize("temperature", [0.3, 0.8, 1.0, 1.7, 5.0])
def test_a_known_temperature_is_found_again(temperature: float) -> None:
    logits, labels = honest_logits(20_000, 10, spread=3.0, seed=1)
    assert fit_temperature(logits * temperature, labels) == pytest.approx(temperature, rel=0.03)


def test_the_fit_is_the_least_log_loss() -> None:
    logits, labels = honest_logits(2_000, 4, spread=2.0, seed=2)
    found = fit_temperature(logits * 2.5, labels)
    around = [log_loss(logits * 2.5, labels, found * factor) for factor in (0.98, 1.0, 1.02)]
    assert around[1] == min(around)


def test_log_loss_is_that_of_a_hand_worked_sample() -> None:
    # softmax((ln 3, 0)) = (3/4, 1/4); at temperature 2: sqrt(3) / (sqrt(3) + 1)
    logits = np.array([[math.log(3.0), 0.0]])
    assert log_loss(logits, np.array([0]), 1.0) == pytest.approx(-math.log(0.75))
    assert log_loss(logits, np.array([0]), 2.0) == pytest.approx(-math.log(math.sqrt(3) / (math.sqrt(3) + 1)))


def test_huge_logits_do_not_overflow() -> None:
    assert log_loss(np.array([[1e4, -1e4]]), np.array([0]), 0.05) == 0.0


def test_samples_that_are_all_right_or_all_wrong_stay_within_bounds() -> None:
    logits = np.array([[5.0, 0.0], [4.0, 0.0]])
    assert COLDEST <= fit_temperature(logits, np.array([0, 0])) < 0.2
    assert HOTTEST * 0.9 < fit_temperature(logits, np.array([1, 1])) <= HOTTEST
