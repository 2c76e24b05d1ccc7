from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandits.indices.normal import chance_of_highest

ARMS = st.lists(st.tuples(st.floats(-3.0, 3.0), st.floats(0.001, 3.0)), min_size=1, max_size=9)


def phi(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


@given(
    first=st.tuples(st.floats(-3.0, 3.0), st.floats(0.001, 3.0)),
    other=st.tuples(st.floats(-3.0, 3.0), st.floats(0.001, 3.0)),
)
def test_of_two_it_is_the_distribution_function_of_their_difference(
    first: tuple[float, float], other: tuple[float, float]
) -> None:
    expected = phi((first[0] - other[0]) / math.hypot(first[1], other[1]))
    assert chance_of_highest(0, [first[0], other[0]], [first[1], other[1]]) == pytest.approx(expected, abs=2e-6)


@given(arms=ARMS)
def test_one_of_them_is_the_highest(arms: list[tuple[float, float]]) -> None:
    means, deviations = [mean for mean, _ in arms], [deviation for _, deviation in arms]
    chances = [chance_of_highest(place, means, deviations) for place in range(len(arms))]
    assert all(0.0 < chance <= 1.0 for chance in chances)
    assert sum(chances) == pytest.approx(1.0, abs=1e-5)


def test_equals_are_equally_likely() -> None:
    assert chance_of_highest(3, [0.3] * 40, [0.1] * 40) == pytest.approx(1 / 40, rel=1e-4)


def test_it_agrees_with_draws_where_deviations_differ_much() -> None:
    means, deviations = [0.0, 0.05, -0.2, 0.04], [0.001, 0.02, 0.3, 0.05]
    drawn = np.random.default_rng(0).normal(means, deviations, (200_000, 4)).argmax(axis=1)
    for place in range(4):
        assert chance_of_highest(place, means, deviations) == pytest.approx(np.mean(drawn == place), abs=0.004)


def test_without_chance_the_choice_was_certain() -> None:
    assert chance_of_highest(1, [0.0, 1.0], [0.0, 0.0]) == 1.0
    assert chance_of_highest(0, [0.5], [0.1]) == 1.0


def test_what_can_hardly_be_is_still_possible() -> None:
    assert 0.0 < chance_of_highest(0, [0.0, 1.0], [0.001, 0.001]) < 1e-12
