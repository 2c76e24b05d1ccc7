from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from split_core.conformal import ConformalSets, fewest_samples, order_of, quantile
from split_core.readings import Reading


@pytest.mark.parametrize(
    ("n", "alpha", "place"),
    [(9, 0.1, 9), (10, 0.1, 10), (19, 0.1, 18), (99, 0.05, 95), (100, 0.05, 96), (29, 0.1, 27), (8, 0.1, 9)],
)
def test_the_finite_sample_quantile_by_hand(n: int, alpha: float, place: int) -> None:
    # ceil((n + 1)(1 - alpha)): 10 * .9 = 9, 11 * .9 = 9.9, 20 * .9 = 18, 100 * .95 = 95, 101 * .95 = 95.95.
    assert order_of(n, alpha) == place
    scores = np.random.default_rng(0).permutation(np.arange(1.0, n + 1))
    assert quantile(scores, alpha) == (place if place <= n else math.inf)


def test_fewer_samples_than_one_over_alpha_have_no_quantile() -> None:
    assert [fewest_samples(alpha) for alpha in (0.1, 0.05, 0.01)] == [9, 19, 99]
    for alpha in (0.1, 0.05, 0.01):
        n = fewest_samples(alpha)
        assert quantile(np.zeros(n), alpha) == 0.0
        assert quantile(np.zeros(n - 1), alpha) == math.inf


def test_sets_by_hand() -> None:
    sets = ConformalSets([[0.4], [0.4, 0.9, 0.0]])
    probabilities = np.array([[0.7, 0.3, 0.0], [0.35, 0.35, 0.3]])
    assert sets.members(1, probabilities).tolist() == [[True, False, False], [False, False, False]]
    # A quantile of its own per class: p_0 >= .6, p_1 >= .1, p_2 >= 1.
    assert sets.members(2, probabilities).tolist() == [[True, True, False], [False, True, False]]


@pytest.mark.parametrize(
    ("probabilities", "label", "unsure"),
    [([0.7, 0.3], 0, False), ([0.5, 0.5], 0, True), ([0.7, 0.3], 1, True), ([0.7, 0.3], -1, True), (None, 0, True)],
)
def test_only_the_one_class_of_the_answer_is_sure(probabilities: list[float] | None, label: int, unsure: bool) -> None:
    given_probabilities = None if probabilities is None else np.array(probabilities)
    assert ConformalSets([[0.4]]).unsure(Reading(1, label, 0.9, given_probabilities)) is unsure


@given(st.integers(9, 200), st.floats(0.1, 0.5))
def test_at_least_the_share_promised_is_below_the_quantile(n: int, alpha: float) -> None:
    scores = np.random.default_rng(n).random(n)
    assert (scores <= quantile(scores, alpha)).mean() >= 1.0 - alpha


@pytest.mark.parametrize(("n", "alpha"), [(30, 0.1), (200, 0.05)])
def test_coverage_on_synthetic_data_is_what_theory_says(n: int, alpha: float) -> None:
    """Mean coverage over many calibrations is place / (n + 1), exactly, for scores without ties."""
    rng, trials = np.random.default_rng(5), 4000
    # Scores are uniform, so the coverage of a quantile is the quantile itself.
    covered = [quantile(rng.random(n), alpha) for _ in range(trials)]
    expected = order_of(n, alpha) / (n + 1)
    assert np.mean(covered) == pytest.approx(expected, abs=4 * np.std(covered) / math.sqrt(trials))
    assert 1.0 - alpha <= expected < 1.0 - alpha + 1.0 / (n + 1)
