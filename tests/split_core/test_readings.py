from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from split_core.criteria.entropy import Entropy
from split_core.criteria.max_prob import MaxProb
from split_core.readings import ExitCalibration, Reader, Reading, softmax

logits = st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=20)


def test_a_reading_by_hand():
    # softmax of (ln 6, ln 3, ln 1) is (.6, .3, .1)
    reading = Reader([ExitCalibration()], MaxProb()).read(1, np.log(np.array([6.0, 3.0, 1.0])))
    assert (reading.exit, reading.label) == (1, 0)
    assert reading.confidence == pytest.approx(0.6)
    assert reading.margin == pytest.approx(0.3)
    assert reading.entropy == pytest.approx(-(0.6 * math.log(0.6) + 0.3 * math.log(0.3) + 0.1 * math.log(0.1)))


def test_temperature_two_takes_the_square_root_of_the_odds():
    # odds 9:1 become 3:1
    reading = Reader([ExitCalibration(temperature=2.0)], MaxProb()).read(1, np.array([math.log(9.0), 0.0]))
    assert reading.confidence == pytest.approx(0.75)


def test_a_reliability_map_is_read_between_its_knots():
    calibration = ExitCalibration(scores=(0.5, 1.0), accuracies=(0.4, 0.8))
    reading = Reader([calibration], MaxProb()).read(1, np.array([math.log(3.0), 0.0]))  # score .75
    assert reading.confidence == pytest.approx(0.6)


@given(logits, st.floats(0.05, 20.0))
def test_any_finite_logits_give_a_confidence_in_the_unit_interval(values, temperature):
    reading = Reader([ExitCalibration(temperature=temperature)], Entropy()).read(1, np.array(values))
    assert 0.0 <= reading.confidence <= 1.0
    assert 0.0 <= reading.entropy <= math.log(len(values)) + 1e-9
    assert values[reading.label] == pytest.approx(max(values), abs=1e-9)  # nearly equal logits may tie


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_broken_exit_never_answers(bad):
    assert Reader([ExitCalibration()], MaxProb()).read(1, np.array([bad, 1.0])).confidence == 0.0


def test_a_reading_from_a_trace_knows_no_margin_and_does_not_guess_one():
    assert math.isnan(Reading(1, 0, 0.9).margin)
    assert math.isnan(Reading(1, 0, 0.9).entropy)


def test_softmax_is_safe_for_large_logits():
    np.testing.assert_allclose(softmax(np.array([1e4, 1e4 - 1.0])), [1 / (1 + math.exp(-1)), 1 / (1 + math.e)])


@pytest.mark.parametrize(
    "wrong", [{"temperature": 0.0}, {"scores": (0.1,)}, {"scores": (0.9, 0.1), "accuracies": (0.1, 0.9)}]
)
def test_a_calibration_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        ExitCalibration(**wrong)
