from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from partitioner.calibrate.thresholds import GRID, certified_threshold, lower_bound, threshold_grid


def honest(samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    confidence = rng.beta(4, 1, samples)
    return confidence, rng.random(samples) < confidence


def test_the_bound_of_a_perfect_record_is_the_root_of_the_risk() -> None:
    assert lower_bound(20, 20, 0.05) == pytest.approx(0.05 ** (1 / 20))


def test_the_bound_of_nothing_is_nothing() -> None:
    assert lower_bound(0, 20, 0.05) == 0.0
    assert lower_bound(0, 0, 0.05) == 0.0


def test_the_bound_is_exact() -> None:
    # P(at least 8 of 10 | p) = risk at p = bound, by the binomial itself.
    bound = lower_bound(8, 10, 0.1)
    tail = 45 * bound**8 * (1 - bound) ** 2 + 10 * bound**9 * (1 - bound) + bound**10
    assert tail == pytest.approx(0.1)


@pytest.mark.parametrize("target", [0.9, 0.95])
def test_a_promise_is_broken_no_more_often_than_its_risk(target: float) -> None:
    everyone, truth = honest(200_000, seed=0)
    broken = 0
    for seed in range(1, 201):
        threshold = certified_threshold(*honest(600, seed), target=target, risk=0.1)
        if threshold is not None:
            broken += truth[everyone >= threshold].mean() < target
    assert broken <= 200 * 0.1 + 9  # two standard deviations of chance


def test_more_samples_bring_the_threshold_nearer_to_the_true_one() -> None:
    # Of these samples, P(right | confidence >= t) reaches 0.95 at about t = 0.90.
    few, many = (certified_threshold(*honest(count, 3), target=0.95, risk=0.1) for count in (2_000, 50_000))
    assert few is not None
    assert many is not None
    assert 0.88 < many < 0.92
    assert many <= few


def test_an_exit_that_always_agrees_is_certified_from_zero() -> None:
    confidence = np.linspace(0.2, 1.0, 500)
    assert certified_threshold(confidence, np.ones(500, bool), target=0.98, risk=0.1) == 0.0


def test_too_few_samples_and_bad_exits_get_no_promise() -> None:
    confidence = np.linspace(0.2, 1.0, 20)
    assert certified_threshold(confidence, np.ones(20, bool), target=0.98, risk=0.1) is None
    confidence = np.linspace(0.2, 1.0, 2000)
    assert certified_threshold(confidence, np.zeros(2000, bool), target=0.98, risk=0.1) is None


@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=50))
def test_any_grid_is_ascending_and_distinct_from_always_to_never(rows: list[list[float]]) -> None:
    grid = threshold_grid(np.array(rows))
    assert (grid[0], grid[-1]) == (0.0, 1.0)
    assert list(grid) == sorted(set(grid))
    assert len(grid) <= GRID


def test_the_grid_looks_at_early_exits_and_is_finer_where_they_are_unsure() -> None:
    rng = np.random.default_rng(0)
    early = rng.uniform(0.4, 1.0, (5000, 2))
    grid = threshold_grid(np.column_stack([early, np.full(5000, 0.1)]))
    assert len(grid) == GRID
    assert grid[1] > 0.4
    assert grid[2] - grid[1] < grid[-2] - grid[-3]
