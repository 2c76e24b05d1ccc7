from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest

from bandits.confidence_sequence import ConfidenceSequence, evidence
from split_core.errors import PolicyFileError
from split_core.tensors import FloatArray

ALPHA = 0.05
Draw = Callable[[np.random.Generator], FloatArray]


def missed(outcomes: FloatArray, mean: float, weights: FloatArray | None = None) -> bool:
    """Was `mean` outside at any time of this stream?"""
    sequence = ConfidenceSequence(ALPHA)
    for place, outcome in enumerate(outcomes.tolist()):
        sequence.add(outcome, 1.0 if weights is None else float(weights[place]))
        if sequence.doubts(mean):
            return True
    return False


def share_missed(streams: int, draw: Draw, mean: float) -> float:
    rng = np.random.default_rng(5)
    return float(np.mean([missed(draw(rng), mean) for _ in range(streams)]))


@pytest.mark.parametrize("mean", [0.02, 0.3, 0.5, 0.97])
def test_the_mean_of_a_whole_stream_is_inside_at_all_times(mean: float) -> None:
    assert share_missed(200, lambda rng: (rng.random(1500) < mean).astype(float), mean) <= ALPHA


@pytest.mark.parametrize("spread", [0.5, 4.0])
def test_outcomes_between_0_and_1_are_covered_too(spread: float) -> None:
    assert share_missed(100, lambda rng: rng.beta(0.2 * spread, 0.8 * spread, 1000), 0.2) <= ALPHA


def test_a_bound_for_one_moment_breaks_when_looked_at_all_the_time() -> None:
    """The test above can fail: Hoeffding's interval, right at every single moment, misses in far more streams."""
    rng, count = np.random.default_rng(5), np.arange(1, 1501)
    width = np.sqrt(math.log(2 / ALPHA) / (2 * count))
    means = np.cumsum(rng.random((200, 1500)) < 0.5, axis=1) / count
    assert np.mean((np.abs(means - 0.5) > width).any(axis=1)) > 2 * ALPHA


def test_the_capital_worked_by_hand() -> None:
    # One outcome of 1 against a mean of 1/4: B(3/2, 1/2) / B(1/2, 1/2) = 1/2, over 1/4.
    assert math.exp(evidence(1, 1, 0.25)) == pytest.approx(2.0)
    # Three of 0 against 1/2: (1/2)(3/4)(5/6) over 1/8.
    assert math.exp(evidence(3, 0, 0.5)) == pytest.approx(2.5)


def test_bounds_without_an_error_are_known_in_closed_form() -> None:
    # n ones: K(m) = m^-n * C(2n, n) / 4^n, so lower^n = alpha * C(2n, n) / 4^n.
    sequence = ConfidenceSequence(ALPHA)
    for _ in range(100):
        sequence.add(1.0)
    assert sequence.lower() == pytest.approx((ALPHA * math.comb(200, 100) / 4.0**100) ** 0.01, abs=1e-9)
    assert sequence.upper() == 1.0


@pytest.mark.parametrize(("outcomes", "total"), [(300, 9), (1000, 500), (5000, 4850)])
def test_bounds_are_where_the_capital_reaches_its_limit_and_at_most_twice_as_wide_as_a_single_look(
    outcomes: int, total: int
) -> None:
    sequence = ConfidenceSequence(ALPHA)
    for place in range(outcomes):
        sequence.add(float(place < total))
    for bound in (sequence.lower(), sequence.upper()):
        assert evidence(outcomes, total, bound) == pytest.approx(math.log(1 / ALPHA), abs=1e-6)
    mean = total / outcomes
    single = 2 * 1.96 * math.sqrt(mean * (1 - mean) / outcomes)
    assert single < sequence.upper() - sequence.lower() < 2 * single
    assert sequence.doubts(sequence.lower() - 1e-6)
    assert not sequence.doubts(sequence.lower() + 1e-6)


def test_before_the_first_outcome_nothing_is_known() -> None:
    fresh = ConfidenceSequence(ALPHA)
    assert (fresh.lower(), fresh.upper()) == (0.0, 1.0)


def audits(rng: np.random.Generator, frames: int) -> tuple[FloatArray, FloatArray]:
    """Outcomes of the frames drawn, unsure ones ten times as often as sure ones, and their weights least / p."""
    unsure = rng.random(frames) < 0.2
    wrong = rng.random(frames) < np.where(unsure, 0.2, 0.01)  # 0.048 on the whole
    drawn = rng.random(frames) < np.where(unsure, 0.5, 0.05)
    return wrong[drawn].astype(float), np.where(unsure, 0.1, 1.0)[drawn]


def test_weights_undo_that_some_were_drawn_more_often() -> None:
    rng = np.random.default_rng(2)
    streams = [audits(rng, 8000) for _ in range(100)]
    assert np.mean([missed(outcomes, 0.048, weights) for outcomes, weights in streams]) <= ALPHA
    assert np.mean([missed(outcomes, 0.048) for outcomes, _ in streams]) > 0.5


def test_a_restored_sequence_is_the_same_to_the_last_bit() -> None:
    one, other, rng = ConfidenceSequence(ALPHA), ConfidenceSequence(ALPHA), np.random.default_rng(0)
    for outcome, weight in zip(rng.random(50).tolist(), (1 - rng.random(50)).tolist(), strict=True):
        one.add(outcome, weight)
    other.restore(json.loads(json.dumps(one.state())), "test")
    assert (other.state(), other.lower(), other.upper()) == (one.state(), one.lower(), one.upper())


@pytest.mark.parametrize("state", [{}, {"count": 1.0}, {"count": 1.0, "total": 2.0}, {"count": -1.0, "total": 0.0}])
def test_a_damaged_state_is_refused(state: dict[str, float]) -> None:
    with pytest.raises(PolicyFileError):
        ConfidenceSequence(ALPHA).restore(state, "test")


@pytest.mark.parametrize(("outcome", "weight"), [(1.1, 1.0), (-0.1, 1.0), (math.nan, 1.0), (0.5, 0.0), (0.5, 2.0)])
def test_what_is_not_bounded_is_refused(outcome: float, weight: float) -> None:
    with pytest.raises(ValueError, match="expected an outcome"):
        ConfidenceSequence(ALPHA).add(outcome, weight)


def test_means_that_are_no_shares_of_alpha_are_refused() -> None:
    with pytest.raises(ValueError, match="alpha"):
        ConfidenceSequence(0.0)
