from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from bandits.change import BLOCK, Exceeds, MeanChange, Past
from split_core.errors import PolicyFileError

ALPHA = 0.05


def test_sums_since_every_beginning_are_those_of_the_stream() -> None:
    outcomes = np.random.default_rng(0).random(BLOCK * 300 + 5)
    past = Past()
    for outcome in outcomes.tolist():
        past.add(outcome)
    spans = list(past.since())
    assert spans[-1].block == 0
    for span in spans:
        rest = outcomes[span.block * BLOCK : 300 * BLOCK]
        assert span.count == span.outcomes == len(rest)
        assert span.total == pytest.approx(rest.sum())
    assert len(spans) < 40
    # Recent beginnings are close to each other, old ones are not.
    ages = [300 - span.block for span in spans]
    assert ages[:4] == [1, 2, 3, 4]
    assert all(later <= 2 * earlier + 2 for earlier, later in itertools.pairwise(ages))


def exceeding(mean: float, limit: float, outcomes: int, streams: int) -> float:
    rng, alarms = np.random.default_rng(7), 0
    for _ in range(streams):
        detector = Exceeds(limit, ALPHA)
        alarms += any(detector.add(outcome) for outcome in (rng.random(outcomes) < mean).astype(float).tolist())
    return alarms / streams


def test_a_mean_at_its_limit_raises_an_alarm_in_fewer_streams_than_stated_however_long() -> None:
    assert exceeding(0.05, 0.05, 4000, 100) <= ALPHA


def test_a_mean_above_its_limit_is_found() -> None:
    assert exceeding(0.12, 0.05, 2000, 50) == 1.0


def test_a_limit_kept_given_all_that_came_before_is_kept_although_the_mean_moves() -> None:
    """Outcomes whose mean jumps between nothing and the limit, as those before them were: no alarm beyond alpha."""
    rng, alarms = np.random.default_rng(3), 0
    for _ in range(100):
        detector, last, fired = Exceeds(0.1, ALPHA), 0.0, False
        for draw in rng.random(2000).tolist():
            last = float(draw < (0.1 if last else 0.02))
            fired |= detector.add(last)
        alarms += fired
    assert alarms <= 100 * ALPHA


def delay(good: int) -> float:
    rng, delays = np.random.default_rng(1), []
    for _ in range(15):
        detector = Exceeds(0.05, 0.01)
        assert not any(detector.add(float(draw < 0.02)) for draw in rng.random(good))
        delays.append(next(n for n in range(1, 5000) if detector.add(float(rng.random() < 0.2))))
    return float(np.mean(delays))


def test_a_change_after_a_long_good_time_is_found_nearly_as_soon_as_one_at_the_start() -> None:
    at_once, late = delay(0), delay(20_000)
    assert at_once < 120
    assert late < 2.3 * at_once


def test_an_alarm_says_since_when_and_is_raised_once() -> None:
    rng = np.random.default_rng(0)
    detector = Exceeds(0.05, 0.01)
    fired = [n for n in range(2000) if detector.add(float(rng.random() < (0.02 if n < 1000 else 0.4)))]
    assert len(fired) == 1
    assert detector.alarm is not None
    assert 900 <= detector.alarm.block * BLOCK <= 1050
    assert detector.value >= detector.threshold


@pytest.mark.parametrize("mean", [0.1, 0.5, 0.9])
def test_a_mean_that_stays_is_no_change_however_long(mean: float) -> None:
    rng, alarms = np.random.default_rng(11), 0
    for _ in range(100):
        detector = MeanChange(ALPHA)
        alarms += any(detector.add(float(draw < mean)) is not None for draw in rng.random(2500))
    assert alarms <= 100 * ALPHA


def test_a_mean_that_changes_is_found_and_what_came_since_is_what_is_left() -> None:
    rng = np.random.default_rng(2)
    detector, found = MeanChange(0.01), []
    for n in range(6000):
        mean = 0.8 if n < 2000 else 0.5 if n < 4000 else 0.75
        since = detector.add(float(np.clip(rng.normal(mean, 0.1), 0, 1)))
        if since is not None:
            found.append((n, since))
    assert detector.changes == len(found) == 2
    for (n, since), changed in zip(found, (2000, 4000), strict=True):
        assert changed < n < changed + 400
        assert since.count <= n + 1 - changed + 2 * BLOCK


def test_a_restored_detector_goes_on_bit_identically() -> None:
    rng = np.random.default_rng(4)
    for make in (lambda: Exceeds(0.1, 0.01), lambda: MeanChange(0.01)):
        one, other = make(), make()
        for draw in rng.random(777):
            one.add(float(draw < 0.1))
        other.restore(json.loads(json.dumps(one.state())), "test")
        assert other.state() == one.state()
        outcomes = (rng.random(600) < 0.5).astype(float).tolist()
        assert [one.add(x) for x in outcomes] == [other.add(x) for x in outcomes]


@pytest.mark.parametrize(
    "state", [{}, {"open": [0, 0, 0]}, {"open": [0, 0], "stretches": []}, {"open": [0, 0, 0], "stretches": [[1]]}]
)
def test_a_damaged_state_is_refused(state: dict[str, object]) -> None:
    with pytest.raises(PolicyFileError):
        Exceeds(0.1, 0.1).restore(state, "test")
