from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bandits.link_fit import KEPT_RESIDUALS, LinkFit, fit_link
from split_core.tensors import FloatArray


def fit(link_ms: FloatArray, payload_bytes: FloatArray) -> LinkFit:
    return fit_link(link_ms, payload_bytes, np.random.default_rng(0))


def test_points_on_a_line_give_the_line() -> None:
    payload = np.array([1000.0, 2000.0, 4000.0, 9000.0])
    found = fit(20.0 + 1.5 * payload / 1000, payload)
    assert (found.base_ms, found.ms_per_kb) == (pytest.approx(20.0), pytest.approx(1.5))
    assert found.residual_ms == pytest.approx(np.zeros(4))


def test_one_slow_reply_in_five_does_not_move_the_line() -> None:
    rng = np.random.default_rng(1)
    payload = rng.uniform(500, 20_000, 2000)
    link_ms = 20.0 + 1.5 * payload / 1000 + rng.normal(0, 0.5, 2000)
    link_ms[rng.random(2000) < 0.2] += 200.0
    found = fit(link_ms, payload)
    assert found.ms_per_kb == pytest.approx(1.5, abs=0.1)
    assert found.base_ms == pytest.approx(20.0, abs=1.0)
    # The slow ones are not lost: they are what replay draws now and then.
    assert np.mean(found.residual_ms > 100.0) == pytest.approx(0.2, abs=0.05)


def test_payloads_of_one_size_say_nothing_about_the_slope() -> None:
    found = fit(np.array([10.0, 12.0, 14.0]), np.full(3, 5000.0))
    assert (found.base_ms, found.ms_per_kb) == (12.0, 0.0)
    assert found.residual_ms.tolist() == [-2.0, 0.0, 2.0]


def test_one_reply_is_a_base_time() -> None:
    found = fit(np.array([10.0]), np.array([5000.0]))
    assert (found.base_ms, found.ms_per_kb, found.residual_ms.tolist()) == (10.0, 0.0, [0.0])


def test_a_line_that_falls_is_taken_as_flat() -> None:
    found = fit(np.array([30.0, 20.0, 10.0]), np.array([1000.0, 2000.0, 3000.0]))
    assert (found.base_ms, found.ms_per_kb) == (20.0, 0.0)


def test_a_line_that_starts_below_0_starts_at_0() -> None:
    found = fit(np.array([1.0, 11.0, 21.0]), np.array([1000.0, 2000.0, 3000.0]))
    assert (found.base_ms, found.ms_per_kb) == (0.0, pytest.approx(10.0))
    assert found.residual_ms == pytest.approx([-9.0, -9.0, -9.0])


def test_many_residuals_are_thinned_and_keep_their_spread() -> None:
    rng = np.random.default_rng(2)
    payload = rng.uniform(500, 20_000, 5000)
    found = fit(20.0 + payload / 1000 + rng.normal(0, 3.0, 5000), payload)
    assert len(found.residual_ms) == KEPT_RESIDUALS
    assert found.residual_ms.std() == pytest.approx(3.0, abs=0.4)


positive = st.floats(0.0, 1e4)


@given(arrays.arrays(np.float64, st.integers(1, 30), elements=positive), st.data())
def test_no_payload_ever_takes_less_than_no_time(link_ms: FloatArray, data: st.DataObject) -> None:
    payload = data.draw(arrays.arrays(np.int64, len(link_ms), elements=st.integers(0, 1_000_000))).astype(np.float64)
    found = fit(link_ms, payload)
    assert found.base_ms >= 0.0
    assert found.ms_per_kb >= 0.0
    assert found.residual_ms.tolist() == sorted(found.residual_ms.tolist())
    # Line and residuals together are what was measured.
    line = np.sort(found.base_ms + found.ms_per_kb * payload / 1000.0)
    assert line.sum() + found.residual_ms.sum() == pytest.approx(link_ms.sum(), rel=1e-6, abs=1e-3)
