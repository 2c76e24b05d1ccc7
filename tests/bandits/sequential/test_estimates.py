from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bandits.sequential.counts import Counts
from bandits.sequential.curve import Curve
from bandits.sequential.estimates import estimate, falling
from bandits.sequential.states import AGREES, BINS, FIRST, STATES, state_of
from tests.bandits.readings import reading

shares = arrays(np.float64, (1, STATES), elements=st.floats(0.0, 1.0))
weights = arrays(np.float64, (1, STATES), elements=st.floats(0.5, 100.0))


def pooled(values: list[float], weight: list[float]) -> list[float]:
    """Pool adjacent violators, for a falling sequence."""
    blocks: list[list[float]] = []
    for value, one in zip(values, weight, strict=True):
        blocks.append([value * one, one, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] < blocks[-1][0] / blocks[-1][1]:
            last = blocks.pop()
            blocks[-1] = [mine + theirs for mine, theirs in zip(blocks[-1], last, strict=True)]
    return [total / one for total, one, count in blocks for _ in range(int(count))]


@given(shares, weights)
def test_the_min_max_formula_is_isotonic_regression(share: np.ndarray, weight: np.ndarray) -> None:
    found = falling(share, weight).reshape(-1, BINS)
    for kin in range(len(found)):
        rows = slice(kin * BINS + 1, (kin + 1) * BINS)
        assert found[kin, 1:] == pytest.approx(pooled(share[0, rows].tolist(), weight[0, rows].tolist()), abs=1e-9)
        assert found[kin, 0] == share[0, kin * BINS]


def test_without_verdicts_a_first_confidence_means_what_it_says() -> None:
    known = estimate(Counts(3, 1), Curve(2), np.ones(1))
    assert 1.0 - known.wrong[0, 0, state_of(reading(1, 0, 0.92), None)] == pytest.approx(0.925)


def test_probabilities_add_up_to_one_after_any_frames() -> None:
    counts, rng = Counts(4, 1), np.random.default_rng(0)
    for _ in range(50):
        states = [FIRST * BINS + int(rng.integers(BINS)), *rng.integers(0, AGREES * BINS, 2).tolist()]
        counts.take_path([1, 2, 3], [0, 0, 0], states, [1.0, 1.0, 0.25])
    known = estimate(counts, Curve(3), np.ones(1))
    for each in (known.steps.sum(axis=2), known.starts.sum(axis=1), known.turns.sum(axis=1)):
        assert each == pytest.approx(1.0)


def test_few_verdicts_correct_an_exit_that_is_sure_of_everything() -> None:
    """Forty verdicts at a confidence of .97, a quarter wrong: also .9995, never checked, is no longer believed."""
    counts, curve = Counts(2, 1), Curve(1)
    for number in range(40):
        counts.take_verdict(1, 0, state_of(reading(1, 0, 0.97), None), number % 4 == 0, False, 1.0)
    sure = state_of(reading(1, 0, 0.9995), None)
    before = curve.right()[0, sure]
    for _ in range(10):
        curve.fit(counts.seen.sum(axis=1), counts.wrong.sum(axis=1))
    assert before > 0.999
    assert 0.75 < curve.right()[0, sure] < 0.985


def test_verdicts_narrow_what_is_believed() -> None:
    counts, curve = Counts(2, 1), Curve(1)
    state = state_of(reading(1, 0, 0.8), None)
    widths = []
    for _ in range(4):
        widths.append(float(estimate(counts, curve, np.ones(1)).width[0, 0, state]))
        for number in range(50):
            counts.take_verdict(1, 0, state, number % 5 == 0, False, 1.0)
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.04
