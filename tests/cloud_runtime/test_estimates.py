from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_runtime.estimates import Estimates, SegmentTime


def test_the_first_estimate_is_what_was_measured_at_loading() -> None:
    assert SegmentTime(0.02).of(rows=1, batches=1) == pytest.approx(0.02)


def test_batches_of_one_size_say_nothing_about_others() -> None:
    time = SegmentTime(0.02)
    for _ in range(100):
        time.record(1, 0.004)
    assert time.of(rows=1, batches=1) == pytest.approx(0.004, rel=0.01)
    assert time.of(rows=16, batches=1) == pytest.approx(0.004, rel=0.01)


@pytest.mark.parametrize(("fixed_s", "row_s"), [(0.005, 0.0), (0.0, 0.002), (0.003, 0.001)])
def test_fixed_and_per_row_time_are_told_apart(fixed_s: float, row_s: float) -> None:
    time, rng = SegmentTime(fixed_s + row_s), np.random.default_rng(0)
    for rows in rng.integers(1, 17, 200):
        time.record(int(rows), fixed_s + row_s * float(rows))
    for rows in (1, 4, 16):
        assert time.of(rows, 1) == pytest.approx(fixed_s + row_s * rows, rel=0.02, abs=1e-5)
    assert time.of(rows=32, batches=2) == pytest.approx(2 * fixed_s + 32 * row_s, rel=0.02)


@given(st.lists(st.tuples(st.integers(1, 64), st.floats(0, 10)), max_size=50), st.integers(1, 64))
def test_no_estimate_is_negative_or_falls_with_rows(past: list[tuple[int, float]], rows: int) -> None:
    time = SegmentTime(0.001)
    for batch_rows, seconds in past:
        time.record(batch_rows, seconds)
    assert 0.0 <= time.of(rows, 1) <= time.of(rows + 1, 1) + 1e-12


def test_a_change_is_learned_within_some_tens_of_batches() -> None:
    time = SegmentTime(0.001)
    for _ in range(30):
        time.record(4, 0.01)
    assert time.of(4, 1) == pytest.approx(0.01, rel=0.1)


def test_what_is_left_sums_the_segments_to_the_end() -> None:
    estimates = Estimates({"b": [0.001, 0.002, 0.004]}, max_batch_rows=8)
    assert [estimates.to_finish_s("b", k) for k in (1, 2, 3)] == pytest.approx([0.007, 0.006, 0.004])
    estimates.record("b", 3, 1, 0.014)
    assert estimates.to_finish_s("b", 1) == pytest.approx(0.008)


def test_work_joins_rows_on_the_way_and_counts_full_batches() -> None:
    estimates = Estimates({"b": [0.001, 0.002, 0.004]}, max_batch_rows=4)
    # 3 rows through segment 1, 5 through segment 2 (two batches), 5 through segment 3 (two batches)
    assert estimates.work_s("b", [3, 2, 0]) == pytest.approx(0.001 + 2 * 0.002 + 2 * 0.004)
    assert estimates.work_s("b", [0, 0, 0]) == 0.0
