from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from split_core.drift import DETECTORS
from split_core.drift.exit_share import ExitShare
from split_core.drift.histogram import LEAST, Reference, histogram, histograms, reached, reached_histograms
from split_core.drift.ks import ks, ks_limit
from split_core.drift.monitor import DriftMonitor
from split_core.drift.page_hinkley import PageHinkley
from split_core.drift.psi import psi, psi_limit
from split_core.evidence import ConfidenceHistogram
from split_core.traces import Traces

HALVES = ConfidenceHistogram(edges=(0.5,), counts=(50, 50))


def confidences(seed: int, count: int, shift: float = 0.0) -> np.ndarray:
    """Like those of a good network: most near 1; `shift` makes it less sure."""
    return np.random.default_rng(seed).beta(5.0 * (1.0 - shift), 1.0, count)


def frames_until(detector, values) -> int | None:
    """How many values it took to fire; None when it did not."""
    for number, x in enumerate(values, 1):
        detector.update(float(x))
        if number % 50 == 0 and detector.state().fired:
            return number
    return None


def test_psi_by_hand():
    # shares with half a count added: .5 and .5 against 80.5/101 and 20.5/101
    found = psi([50, 50], [80, 20])
    by_hand = (80.5 / 101 - 0.5) * math.log(80.5 / 50.5) + (20.5 / 101 - 0.5) * math.log(20.5 / 50.5)
    assert found == pytest.approx(by_hand)
    assert found == pytest.approx(0.4063, abs=1e-4)
    assert psi([50, 50], [5, 5]) == pytest.approx(0.0)


def test_the_limit_of_psi_by_hand():
    # nine degrees: 9 (1 - 2/81 + 6 sqrt(2/81))^3 = 9 (0.97531 + 0.94281)^3 = 63.51; (1/500 + 1/5000) = 0.0022
    assert psi_limit(10, 5000, 500) == pytest.approx(0.1397, abs=1e-4)
    assert psi_limit(10, 10**9, 10**9) == 0.1


def test_ks_by_hand():
    # distribution functions at the three inner edges: .25 .5 .75 against 0 .5 1
    assert ks([25, 25, 25, 25], [0, 5, 5, 0]) == pytest.approx(0.25)
    # sqrt(-ln(5e-7) / 2) = 2.6934, sqrt(5500 / 2500000) = 0.046904
    assert ks_limit(5000, 500) == pytest.approx(0.12633, abs=1e-5)


def test_page_hinkley_by_hand():
    # two bins: ranks 1/4 and 3/4, one standard deviation is 1/4, so every high value adds 1 - (0.25 + 2/sqrt(100))
    detector = PageHinkley(HALVES)
    for _ in range(72):
        detector.update(0.9)
    assert detector.state().value == pytest.approx(72 * 0.55)
    assert not detector.state().fired
    detector.update(0.9)
    assert detector.state().fired


def test_exit_shares_by_hand():
    # half is expected above 0.5; 300 of 300 come: surplus 150 - 1 % of 300, variance 75 (1 + 300 / 100) + 1
    share = ExitShare(HALVES)
    for _ in range(300):
        share.update(0.9, 0.5)
    assert share.earlier().value == pytest.approx((150 - 3) / math.sqrt(301))
    assert share.earlier().fired
    assert not share.later().fired


def test_a_bandit_that_lowers_its_threshold_is_no_drift():
    values = confidences(1, 4000)
    share = ExitShare(histogram(confidences(2, 5000)))
    for number, x in enumerate(values):
        share.update(float(x), 0.95 if number < 2000 else 0.6)
        assert not share.earlier().fired
        assert not share.later().fired


def test_a_value_that_many_share_has_a_bin_of_its_own():
    mixed = np.concatenate([np.full(300, 0.987123), np.linspace(0.1, 0.9, 700)])
    reference = Reference(histogram(mixed))
    place = np.searchsorted(reference.edges, 0.987123, side="right")
    assert reference.counts[place] == 300
    assert np.searchsorted(reference.edges, 0.987123 + 1e-12, side="right") == place  # another machine's last bit
    assert reference.at_least(0.987123) == pytest.approx(0.3, abs=1e-6)
    assert reference.at_least(0.99) == pytest.approx(0.0)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=300))
def test_every_sample_is_in_one_bin_and_ranks_have_mean_one_half(values: list[float]):
    made = histogram(np.array(values))
    assert sum(made.counts) == len(values)
    reference = Reference(made)
    mean = sum(rank * count for rank, count in zip(reference.ranks, made.counts, strict=True)) / len(values)
    assert mean == pytest.approx(0.5)
    shares = [reference.at_least(x) for x in np.linspace(0, 1, 50)]
    assert all(0.0 <= low <= high <= 1.0 for high, low in itertools.pairwise(shares))


def test_histograms_are_one_per_exit_with_edges_from_other_samples():
    confidence = np.stack([confidences(1, 400, 0.5), confidences(2, 400)], axis=1)
    traces = Traces(confidence, np.zeros((400, 2), np.int64), np.zeros(400, np.int64))
    made = histograms(traces.rows(np.arange(250)), traces.rows(np.arange(250, 400)))
    assert made == tuple(histogram(confidence[250:, k], confidence[:250, k]) for k in range(2))
    assert [sum(one.counts) for one in made] == [150, 150]
    assert made[0].edges == histogram(confidence[:250, 0]).edges


@pytest.mark.parametrize("name", list(DETECTORS))
def test_a_hundred_stationary_streams_give_no_false_alarm(name: str):
    alarms = 0
    for seed in range(100):
        detector = DETECTORS.load(name)(histogram(confidences(seed, 2000)), 500)
        alarms += frames_until(detector, confidences(1000 + seed, 3000)) is not None
    assert alarms == 0


@pytest.mark.parametrize(("shift", "delay"), [(0.4, 600), (0.6, 350), (0.8, 200)])
@pytest.mark.parametrize("name", list(DETECTORS))
def test_a_shift_is_found_within_a_window(name: str, shift: float, delay: int):
    """The delay counts from the shift on, with a window that is full of clean values."""
    for seed in range(10):
        detector = DETECTORS.load(name)(histogram(confidences(seed, 2000)), 500)
        assert frames_until(detector, confidences(100 + seed, 500)) is None
        took = frames_until(detector, confidences(200 + seed, 1000, shift))
        assert took is not None
        assert took <= delay


@pytest.mark.parametrize("name", list(DETECTORS))
def test_what_becomes_surer_is_drift_too(name: str):
    detector = DETECTORS.load(name)(histogram(confidences(1, 2000, 0.6)), 500)
    assert frames_until(detector, confidences(2, 1000)) is not None


def test_a_window_that_is_not_full_is_silent():
    for name in ("psi", "ks"):
        detector = DETECTORS.load(name)(histogram(confidences(1, 2000)), 500)
        for _ in range(499):
            detector.update(0.0)
        assert not detector.state().fired
        detector.update(0.0)
        assert detector.state().fired


def test_the_monitor_speaks_once_per_change_and_stays_void():
    monitor = DriftMonitor((histogram(confidences(1, 2000)),))
    clean = [finding for x in confidences(2, 3000) for finding in monitor.see(1, float(x), 0.9)]
    assert (clean, monitor.void) == ([], False)
    shifted = [finding for x in confidences(3, 2000, 0.6) for finding in monitor.see(1, float(x), 0.9)]
    assert sorted(finding.detector for finding in shifted) == ["exits_later", "ks", "martingale", "page_hinkley", "psi"]
    assert all(finding.drift.fired for finding in shifted)
    back = [finding for x in confidences(4, 3000) for finding in monitor.see(1, float(x), 0.9)]
    assert sorted(finding.detector for finding in back) == ["exits_later", "ks", "martingale", "page_hinkley", "psi"]
    assert not any(finding.drift.fired for finding in back)
    assert monitor.void


def test_exits_that_move_earlier_are_named():
    monitor = DriftMonitor((histogram(confidences(1, 2000, 0.6)),))
    said = {f.detector for x in confidences(2, 2000) for f in monitor.see(1, float(x), 0.9)}
    assert "exits_earlier" in said
    assert "exits_later" not in said


def test_without_histograms_nothing_is_watched():
    monitor = DriftMonitor(())
    assert monitor.see(3, 0.1) == []
    assert not monitor.void


def test_only_samples_that_got_there_are_in_the_histogram_of_a_later_exit():
    confidence = np.column_stack([np.linspace(0, 1, 2000), np.linspace(1, 0, 2000), np.full(2000, 0.5)])
    traces = Traces(confidence, np.zeros((2000, 3), np.int64), np.zeros(2000, np.int64))
    there = reached(traces, np.where(confidence[:, 0] >= 0.5, 0, 1))  # nobody gets to the third
    [second] = reached_histograms(there, there)
    assert sum(second.counts) == 1000
    assert Reference(second).at_least(0.5) == pytest.approx(1.0, abs=0.05)  # all 2,000: 0.5
    assert reached_histograms(there, [values[: LEAST - 1] for values in there]) == ()


def test_drift_behind_the_first_exit_is_seen_where_the_first_exit_sees_none():
    first, second = histogram(confidences(1, 5000)), histogram(confidences(2, 5000))
    watching = DriftMonitor((first,) * 3, reached=(second,))
    blind = DriftMonitor((first,) * 3)
    for here, there in zip(confidences(3, 2000), confidences(4, 2000, shift=0.4), strict=True):
        for monitor in (watching, blind):
            monitor.see(1, float(here))
            monitor.see_on([float(there), 0.5])
    assert watching.void
    assert watching.cause is not None
    assert (watching.cause.exit, watching.cause.detector[:8]) == (2, "reached_")
    assert not blind.void


def test_a_cascades_first_threshold_is_enough_to_notice_that_exits_move():
    monitor = DriftMonitor((histogram(confidences(1, 5000)),), threshold=0.9)
    found = [one for x in np.full(500, 0.95) for one in monitor.see(1, float(x))]
    assert "exits_earlier" in {one.detector for one in found}


def test_what_was_found_before_a_restart_stays():
    before, after = (DriftMonitor((histogram(confidences(1, 5000)),)) for _ in range(2))
    for x in confidences(2, 1000, shift=0.5):
        before.see(1, float(x))
    assert before.cause is not None
    assert not after.void
    after.voided(before.cause)
    assert after.void


def test_what_inputs_are_like_is_watched_by_name():
    lengths = np.random.default_rng(0).integers(5, 30, 2000).astype(float)
    monitor = DriftMonitor((), inputs={"tokens": histogram(lengths)})
    assert monitor.sees_inputs
    assert not DriftMonitor(()).sees_inputs
    same = [found for value in lengths[:600] for found in monitor.see_input({"tokens": value})]
    assert same == []
    found = [one for value in lengths[:300] for one in monitor.see_input({"tokens": value / 3, "unknown": 1.0})]
    assert found[0].detector == "tokens_martingale"
    assert found[0].exit == 0
    assert monitor.void
