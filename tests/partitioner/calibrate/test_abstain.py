from __future__ import annotations

import math

import numpy as np
import pytest

from partitioner.calibrate.abstain import abstaining, probabilities_of, quantiles, unsure
from split_core.conformal import ConformalSets
from split_core.criteria.max_prob import MaxProb
from split_core.errors import DataError
from split_core.readings import ExitCalibration, Reader, softmax
from tests.partitioner.calibrate.synthetic import honest_logits, traces_with_temperatures


def drawn(samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (N, 2, 4) of a noisy and a good exit, and labels; 4 classes."""
    logits, labels = honest_logits(samples, 4, spread=2.0, seed=seed)
    noise = np.random.default_rng([seed, 1]).normal(0.0, 1.5, logits.shape)
    return softmax(np.stack([logits + noise, logits], axis=1)), labels


def covered(sets: ConformalSets, probabilities: np.ndarray, labels: np.ndarray) -> list[float]:
    rows = np.arange(len(labels))
    return [float(sets.members(k + 1, probabilities[:, k])[rows, labels].mean()) for k in range(2)]


def test_quantiles_by_hand() -> None:
    # Nine samples of two classes; 1 - p of the truth is .1, .2, ... .9: the 9th of 9 at alpha .1, the 8th at .2.
    truth = 1.0 - np.arange(1, 10) / 10
    probabilities = np.stack([truth, 1.0 - truth], axis=1)[:, None, :]
    labels = np.zeros(9, np.int64)
    assert quantiles(probabilities, labels, 0.1, per_class=False) == ((pytest.approx(0.9, abs=2e-6),),)
    assert quantiles(probabilities, labels, 0.2, per_class=False) == ((pytest.approx(0.8, abs=2e-6),),)
    # Class 1 has no samples: it gets the common one.
    assert quantiles(probabilities, labels, 0.2, per_class=True)[0][1] == pytest.approx(0.8, abs=2e-6)


def test_quantiles_are_rounded_up_so_that_sets_only_grow() -> None:
    probabilities = np.full((9, 1, 2), 1.0 - 1.0 / 3.0)
    ((written,),) = quantiles(probabilities, np.zeros(9, np.int64), 0.1, per_class=False)
    assert 1.0 / 3.0 <= written <= 1.0 / 3.0 + 1e-6


@pytest.mark.parametrize("per_class", [False, True])
@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_sets_cover_the_truth_as_often_as_promised(alpha: float, per_class: bool) -> None:
    reached = []
    for seed in range(60):
        probabilities, labels = drawn(400, seed)
        found = ConformalSets(quantiles(probabilities, labels, alpha, per_class=per_class))
        reached.append(covered(found, *drawn(1000, seed + 1000)))
    mean, error = np.mean(reached, axis=0), np.std(reached, axis=0) / math.sqrt(len(reached))
    assert (mean >= 1.0 - alpha - 3 * error).all()
    assert (mean <= 1.0 - alpha + 0.015 + 3 * error).all()


def test_sets_per_class_cover_the_class_that_common_ones_do_not() -> None:
    """Class 0 is rare and often taken for class 1."""
    rng = np.random.default_rng(0)

    def batch(samples: int) -> tuple[np.ndarray, np.ndarray]:
        labels = (rng.random(samples) > 0.1).astype(np.int64)
        right = np.where(labels == 0, rng.uniform(0.0, 0.6, samples), rng.uniform(0.7, 1.0, samples))
        return np.stack([np.where(labels == 0, right, 1 - right), np.where(labels == 0, 1 - right, right)], 1)[
            :, None
        ], labels

    fitted, test = batch(4000), batch(20_000)
    shares = []
    for per_class in (False, True):
        sets = ConformalSets(quantiles(*fitted, 0.1, per_class=per_class))
        rare = np.flatnonzero(test[1] == 0)
        shares.append(sets.members(1, test[0][rare, 0])[:, 0].mean())
    assert shares[0] < 0.6
    assert shares[1] == pytest.approx(0.9, abs=0.03)


def test_what_the_device_calls_unsure_is_what_calibration_counted() -> None:
    traces = traces_with_temperatures(200, (2.0, 1.0), seed=2)
    reader = Reader([ExitCalibration(2.0), ExitCalibration()], MaxProb())
    probabilities = probabilities_of(traces, reader)
    sets = ConformalSets(quantiles(probabilities, traces.labels, 0.1, per_class=True))
    counted = unsure(sets, probabilities)
    said = [[sets.unsure(one) for one in row] for row in traces.shown.read(reader)]
    assert counted.tolist() == said
    assert 0 < counted.sum() < counted.size


def test_the_section_tells_what_one_half_reaches_on_the_other() -> None:
    probabilities, labels = drawn(2000, seed=3)
    section, tried = abstaining(probabilities, labels, 0.1, per_class=False)
    assert (section.samples, section.alpha, len(section.quantiles)) == (2000, 0.1, 2)
    assert list(section.coverage) == pytest.approx(covered(tried, probabilities[1000:], labels[1000:]))
    assert all(share == pytest.approx(0.9, abs=0.03) for share in section.coverage)
    assert section.single[0] < section.single[1]


def test_too_few_samples_are_told_how_many_would_do() -> None:
    probabilities, labels = drawn(37, seed=4)
    with pytest.raises(DataError, match=r"--abstain 0\.05: .* 18; give at least 76"):
        abstaining(probabilities, labels, 0.05, per_class=False)
    probabilities, labels = drawn(38, seed=4)
    assert abstaining(probabilities, labels, 0.05, per_class=False)[0].samples == 38
