from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable

import numpy as np
import pytest

from split_core.drift.histogram import histogram
from split_core.drift.martingale import ALPHA, ConformalMartingale
from split_core.errors import PolicyFileError
from split_core.evidence import ConfidenceHistogram

HALVES = ConfidenceHistogram(edges=(0.5,), counts=(1, 2))
Draw = Callable[[np.random.Generator, int], np.ndarray]


def smooth(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.beta(5.0, 1.0, count)


def tied(rng: np.random.Generator, count: int) -> np.ndarray:
    """As from a reliability map with flat parts: nine values, one of them taken by half of all."""
    return np.where(rng.random(count) < 0.5, 0.97, np.round(rng.beta(3.0, 1.0, count) * 8) / 8)


def less_sure(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.beta(1.0, 1.0, count)


def calibrated(draw: Draw, samples: int, seed: int, alpha: float = ALPHA) -> ConformalMartingale:
    rng = np.random.default_rng([seed, 1])
    return ConformalMartingale(histogram(draw(rng, samples), draw(rng, samples)), alpha=alpha, seed=seed)


def frames_until(detector: ConformalMartingale, values: Iterable[float]) -> int | None:
    """How many values it took to fire; None when it did not."""
    return next((number for number, x in enumerate(values, 1) if detector.update(float(x))), None)


def test_two_frames_by_hand() -> None:
    tau = np.random.default_rng(7)
    detector = ConformalMartingale(HALVES, seed=7)
    detector.update(0.9)  # below it 1 of 3; in its bin 2 and itself
    odds = 2 * (1 + tau.random() * 3) / 4 - 1
    staked = (1 - 1 / math.log2(3)) / 4
    capitals = [staked * (1 + slope * odds) for slope in (-1.0, -0.4, 0.4, 1.0)]
    assert detector.state().value == pytest.approx(math.log(sum(capitals) + 1 / math.log2(3)))
    detector.update(0.1)  # nothing is below, 1 of 4 and itself are in its bin
    odds = 2 * (tau.random() * 2) / 5 - 1
    staked = (1 / math.log2(3) - 1 / math.log2(4)) / 4
    pairs = zip(capitals, (-1.0, -0.4, 0.4, 1.0), strict=True)
    total = sum((capital + staked) * (1 + slope * odds) for capital, slope in pairs) + 1 / 2
    assert detector.state().value == pytest.approx(math.log(total))


@pytest.mark.parametrize("samples", [20, 500])
@pytest.mark.parametrize("draw", [smooth, tied])
def test_false_alarms_are_as_rare_as_promised_however_few_the_samples(draw: Draw, samples: int) -> None:
    alpha, streams, frames = 0.1, 300, 1000
    alarms = 0
    for seed in range(streams):
        stream = draw(np.random.default_rng([seed, 2]), frames)
        alarms += frames_until(calibrated(draw, samples, seed, alpha), stream) is not None
    assert alarms <= alpha * streams + 3 * math.sqrt(alpha * (1 - alpha) * streams)


def test_the_simulation_notices_when_the_stream_is_not_counted_among_the_samples() -> None:
    """With calibration samples alone p-values depend on each other, and the bound does not hold."""
    alpha, streams, alarms = 0.1, 60, 0
    for seed in range(streams):
        detector = calibrated(smooth, 20, seed, alpha)
        counts = detector.saved()["counts"]
        for x in smooth(np.random.default_rng([seed, 2]), 500):
            if detector.update(float(x)):
                alarms += 1
                break
            detector.restore({**detector.saved(), "counts": counts})
    assert alarms > alpha * streams + 3 * math.sqrt(alpha * (1 - alpha) * streams)


@pytest.mark.parametrize(("clean", "delay"), [(0, 60), (1000, 90), (20_000, 130)])
def test_a_shift_is_found_within_tens_of_frames(clean: int, delay: int) -> None:
    for seed in range(10):
        detector, rng = calibrated(smooth, 2000, seed), np.random.default_rng([seed, 2])
        assert frames_until(detector, smooth(rng, clean)) is None
        took = frames_until(detector, less_sure(rng, 500))
        assert took is not None
        assert took <= delay


def test_an_exit_that_is_always_as_sure_is_no_alarm() -> None:
    detector = ConformalMartingale(histogram(np.full(1000, 0.999)))
    assert frames_until(detector, np.full(5000, 0.999)) is None


def test_drift_stays_drift_and_ends_with_it() -> None:
    detector, rng = calibrated(smooth, 500, 0), np.random.default_rng(3)
    assert frames_until(detector, less_sure(rng, 500)) is not None
    assert frames_until(detector, less_sure(rng, 20_000)) is None  # no change: nothing of it is learned
    assert detector.state().fired
    assert frames_until(detector, smooth(rng, 1000)) is not None
    assert not detector.state().fired


def test_it_goes_on_from_what_was_saved_to_the_last_bit() -> None:
    rng = np.random.default_rng(3)
    before, after = calibrated(tied, 500, 0), calibrated(tied, 500, 0)
    for x in tied(rng, 700):
        before.update(float(x))
    after.restore(json.loads(json.dumps(before.saved())))
    for x in tied(rng, 700):
        before.update(float(x))
        after.update(float(x))
        assert before.state() == after.state()
    assert before.saved() == after.saved()


def test_it_remembers_no_more_after_a_long_time() -> None:
    detector = calibrated(smooth, 500, 0)
    detector.update(0.5)
    short = len(json.dumps(detector.saved()))
    for x in smooth(np.random.default_rng(3), 20_000):
        detector.update(float(x))
    assert len(json.dumps(detector.saved())) < short + 200  # digits of counts


@pytest.mark.parametrize("damage", [{"counts": [1, 2, 3]}, {"counts": None}, {"random": {}}, {"capitals": [1.0]}])
def test_what_is_not_its_own_is_refused(damage: dict[str, object]) -> None:
    detector = calibrated(smooth, 500, 0)
    with pytest.raises(PolicyFileError, match="not what a martingale remembers"):
        detector.restore({**detector.saved(), **damage})
