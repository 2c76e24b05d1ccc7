from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from partitioner.calibrate.exit_rule import (
    NEVER,
    at_exits,
    exit_of,
    exits_by_threshold,
    mean_cost,
    shared_thresholds,
)
from partitioner.calibrate.losses import LOSSES, brier_gap, consistency, drop, mistakes
from split_core.errors import TraceError
from split_core.traces import Traces

CONFIDENCE = np.array([[0.9, 0.2, 0.1], [0.5, 0.8, 0.3], [0.1, 0.1, 0.1]])


def traces(logits: np.ndarray | None = None) -> Traces:
    prediction = np.array([[0, 1, 0], [1, 1, 0], [0, 0, 0]])
    kept = {} if logits is None else {"logits": logits}
    return Traces(CONFIDENCE, prediction, np.array([0, 1, 1]), **kept)  # type: ignore[arg-type]


def test_the_first_exit_that_is_sure_enough_answers() -> None:
    assert exit_of(CONFIDENCE, (0.9, 0.8)).tolist() == [0, 1, 2]
    assert exit_of(CONFIDENCE, (None, 0.2)).tolist() == [1, 1, 2]
    assert exit_of(CONFIDENCE, (None, None)).tolist() == [2, 2, 2]
    assert exit_of(CONFIDENCE, (0.0, None)).tolist() == [0, 0, 0]


def test_thresholds_must_be_one_per_early_exit() -> None:
    with pytest.raises(ValueError, match="3 exits take 2 thresholds, got 3"):
        exit_of(CONFIDENCE, (0.1, 0.1, 0.1))


def test_shared_thresholds_go_from_never_to_always() -> None:
    found = shared_thresholds(CONFIDENCE)
    assert (found[0], found[-1]) == (NEVER, 0.0)
    assert (np.diff(found) < 0).all()
    exits = exits_by_threshold(CONFIDENCE, found)
    assert (exits[:, 0] == 2).all()
    assert (exits[:, -1] == 0).all()


@given(arrays(np.float64, (7, 4), elements=st.floats(0.0, 1.0)))
def test_a_lower_threshold_never_answers_later(confidence: np.ndarray) -> None:
    depth = exits_by_threshold(confidence, shared_thresholds(confidence))
    assert (np.diff(depth, axis=1) <= 0).all()


def test_a_network_with_one_exit_never_leaves_early() -> None:
    alone = np.array([[0.4], [0.6]])
    assert exits_by_threshold(alone, shared_thresholds(alone)).tolist() == [[0, 0], [0, 0]]


def test_losses_and_costs_follow_the_exit() -> None:
    exits = exits_by_threshold(CONFIDENCE, np.array([NEVER, 0.8, 0.0]))
    assert exits.tolist() == [[2, 0, 0], [2, 1, 0], [2, 2, 0]]
    assert mean_cost(exits, np.array([1.0, 2.0, 3.0])) == pytest.approx([3.0, 2.0, 1.0])
    assert at_exits(mistakes(traces()), exits).tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 1]]


def test_losses_by_hand() -> None:
    assert consistency(traces()).tolist() == [[0, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert mistakes(traces()).tolist() == [[0, 1, 0], [0, 0, 1], [1, 1, 1]]
    assert drop(traces()).tolist() == [[0, 1, 0], [-1, -1, 0], [0, 0, 0]]


def test_the_brier_gap_by_hand() -> None:
    sure, even = [100.0, 0.0], [0.0, 0.0]
    logits = np.array([[even, sure, sure], [sure, even, even], [even, even, sure]], np.float32)
    # Halved scores: right and sure 0, even 1/4, wrong and sure 1.  Labels are 0, 1, 1.
    expected = [[0.25, 0.0, 0.0], [0.75, 0.0, 0.0], [-0.75, -0.75, 0.0]]
    assert brier_gap(traces(logits)) == pytest.approx(np.array(expected))
    with pytest.raises(TraceError, match="kept no logits"):
        brier_gap(traces())


@pytest.mark.parametrize("name", list(LOSSES))
def test_losses_are_at_most_one(name: str) -> None:
    logits = np.random.default_rng(0).normal(0.0, 5.0, (3, 3, 2)).astype(np.float32)
    values = LOSSES[name](traces(logits))
    assert values.shape == (3, 3)
    assert -1.0 <= values.min() <= values.max() <= 1.0
