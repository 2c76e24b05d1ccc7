from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.frames.costs import CostBook, LinkModel
from split_core.objective import Objective
from tests.edge_runtime.world import profile

MS = Objective(ms=1.0)


def book() -> CostBook:
    return CostBook(profile(3, "a" * 64), LinkModel(10.0, 2.0))


def test_before_anything_was_measured_costs_are_the_profile_and_the_prior_link():
    costs = book().costs(MS, ship_input=True)
    np.testing.assert_allclose(costs.device, [0, 4, 8, 12])
    np.testing.assert_allclose(costs.head, [0, 0.5, 0.5, 0])
    # encode .2 + link 10 + 2 * .3 KB + the cloud's remaining segments at 2 ms each
    np.testing.assert_allclose(costs.ship, [0.2 + 10.6 + 6, 0.2 + 10.6 + 4, 0.2 + 10.6 + 2], atol=0.2)


def test_the_cheapest_payload_that_was_reached_is_taken():
    measured = book()
    measured.observe_offload(0, 300, 5.0, 0.5)  # the worker is quick from the input on
    costs = measured.costs(MS, ship_input=True)
    assert costs.payload == (0, 0, 0)


def test_an_input_that_may_not_leave_costs_infinity_at_split_0_only():
    costs = book().costs(MS, ship_input=False)
    assert costs.ship[0] == np.inf
    assert np.isfinite(costs.ship[1:]).all()
    assert 0 not in costs.payload[1:]


def test_a_link_is_learned_as_a_line_over_payload_size():
    link = LinkModel(50.0, 0.0)
    rng = np.random.default_rng(0)
    for _ in range(300):
        size = int(rng.integers(200, 5000))
        link.observe(size, 8.0 + 3.0 * size / 1e3 + rng.normal(0, 0.2))
    assert link.ms(1000) == pytest.approx(11.0, abs=0.3)
    assert link.ms(4000) == pytest.approx(20.0, abs=0.5)


def test_payloads_of_one_size_leave_the_slope_where_it_was_believed_to_be():
    link = LinkModel(50.0, 1.0)
    for _ in range(300):
        link.observe(1000, 20.0)
    assert link.ms(1000) == pytest.approx(20.0, abs=0.1)
    assert link.ms(3000) == pytest.approx(22.0, abs=0.2)


def test_a_link_that_changes_is_followed_within_a_hundred_offloads():
    link = LinkModel(10.0, 1.0)
    for ms in [10.0] * 200 + [100.0] * 100:
        link.observe(1000, ms)
    assert link.ms(1000) > 85.0


def test_one_hiccup_is_no_trend():
    measured = book()
    measured.observe_device([0.0, 400.0, 0.0, 0.0], [0.0] * 4)
    assert measured.segment_ms(1, 1) == pytest.approx(4.0 + 0.02 * (16.1 - 4.0))


def test_steps_that_were_not_run_change_nothing():
    measured = book()
    before = measured.costs(MS, ship_input=True).device.copy()
    measured.observe_device([0.0] * 4, [0.0] * 4)
    np.testing.assert_array_equal(measured.costs(MS, ship_input=True).device, before)


def test_bytes_and_cloud_time_are_priced():
    plain = book().costs(MS, ship_input=True).ship
    priced = book().costs(Objective(ms=1.0, kb=10.0, cloud_ms=1.0), ship_input=True).ship
    np.testing.assert_allclose(priced - plain, [3 + 6, 3 + 4, 3 + 2], atol=1e-9)
