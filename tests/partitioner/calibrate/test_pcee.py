from __future__ import annotations

import numpy as np
import pytest

from partitioner.calibrate.exit_rule import ExitRule
from partitioner.calibrate.pcee import PCEE, bin_size, pcee, smoothed, threshold_of
from split_core.traces import Traces

EVERY = pytest.mark.parametrize("name", list(PCEE))


def drawn(samples: int, exits: int = 3, *, seed: int) -> Traces:
    """Confidences that are right as often as they say."""
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.5, 1.0, (samples, exits))
    right = rng.random((samples, exits)) < confidence
    return Traces(confidence, np.where(right, 1, 0), np.ones(samples, np.int64))


def test_the_lowest_bin_of_an_unbroken_run_sets_the_threshold() -> None:
    confidence = np.arange(12) / 12
    correct = np.array([1, 1, 1, 0, 0, 1, 1, 1, 0, 1, 1, 1], float)
    # From the top, bins of 3: 3/3, 2/3, 1/3, then 3/3, which lies beyond a gap.
    assert threshold_of(confidence, correct, 0.9, 3) == 9 / 12
    assert threshold_of(confidence, correct, 0.6, 3) == 6 / 12
    assert threshold_of(confidence, correct, 0.3, 3) == 0.0


def test_no_bin_that_qualifies_means_never() -> None:
    assert threshold_of(np.arange(10) / 10, np.zeros(10), 0.5, 5) is None
    assert threshold_of(np.arange(3) / 10, np.ones(3), 0.5, 5) is None


def test_equal_confidences_share_a_bin() -> None:
    confidence = np.array([0.9] * 6 + [0.1] * 2)
    correct = np.array([1, 1, 1, 0, 0, 0, 1, 1], float)
    assert threshold_of(confidence, correct, 0.9, 3) is None
    assert threshold_of(confidence, correct, 0.5, 3) == 0.9


def test_bins_are_large_enough_for_one_mistake() -> None:
    assert bin_size(100, 0.5) == 20
    assert bin_size(100, 0.99) == 100
    assert bin_size(5000, 0.9) == 100


def test_smoothing_keeps_a_constant_and_spreads_a_single_mistake() -> None:
    confidence = np.random.default_rng(0).random(400)
    assert smoothed(confidence, np.ones(400, np.bool_)) == pytest.approx(np.ones(400))
    one = np.ones(400, np.bool_)
    middle = int(np.argsort(confidence)[200])
    one[middle] = False
    values = smoothed(confidence, one)
    assert values.argmin() == middle
    assert 0.97 < values[middle] < 0.99  # one of about 150, in the middle of the Gaussian
    assert (values < 1.0).sum() == 151
    assert smoothed(np.array([0.3]), np.array([True])).tolist() == [1.0]


def test_maps_are_of_the_samples_that_reach_the_exit() -> None:
    # Exit 2 is right wherever exit 1 answers, and wrong on the rest: over all samples it would qualify.
    sure = np.arange(400) < 360
    confidence = np.stack([np.where(sure, 0.9, 0.1), np.full(400, 0.8), np.ones(400)], axis=1)
    prediction = np.stack([np.where(sure, 1, 0)] * 2 + [np.ones(400, np.int64)], axis=1)
    traces = Traces(confidence, prediction, np.ones(400, np.int64))
    assert pcee(traces, 0.85) == (0.9, None)


@EVERY
@pytest.mark.parametrize("accuracy", [0.8, 0.9])
def test_what_exits_answer_is_as_right_as_asked_on_other_samples(name: str, accuracy: float) -> None:
    early, right = 0, 0
    for seed in range(10):
        rule = ExitRule(PCEE[name](drawn(3000, seed=seed), accuracy))
        other = drawn(3000, seed=100 + seed)
        exits = rule.exits(other)
        answered = exits < 2
        early += answered.sum()
        right += other.correct[np.arange(3000), exits][answered].sum()
    assert right / early >= accuracy - 0.015
    assert early > 0.1 * 30_000
