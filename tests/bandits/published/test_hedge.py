from __future__ import annotations

import math

import numpy as np
import pytest

from bandits.published.hedge import Hedge, rates


def test_every_threshold_is_charged_for_what_it_would_have_done() -> None:
    hedge = Hedge([0.0, 0.5, 0.9], eta=2.0)
    hedge.charge(0.6, shipped=0.3, answered=4.0)
    hedge.charge(0.9, shipped=0.3, answered=0.0)
    hedge.charge(0.2, shipped=0.5, answered=0.0)
    assert hedge.losses() == pytest.approx([4.0, 4.5, 0.8])


def test_a_threshold_is_drawn_by_the_exponential_of_its_losses() -> None:
    hedge = Hedge([0.0, 0.5, 0.9], eta=2.0)
    hedge.set_losses([1.0, 1.5, 3.0])
    weights = [1.0, math.exp(-1.0), math.exp(-4.0)]
    assert hedge.probabilities().tolist() == pytest.approx([weight / sum(weights) for weight in weights])


def test_draws_come_as_often_as_they_say() -> None:
    hedge, rng = Hedge([0.0, 0.5, 0.9], eta=1.0), np.random.default_rng(0)
    hedge.set_losses([0.2, 0.0, 1.0])
    drawn = [hedge.draw(rng) for _ in range(20_000)]
    for place, chance in enumerate(hedge.probabilities().tolist()):
        told = [share for one, share in drawn if one == place]
        assert len(told) / len(drawn) == pytest.approx(chance, abs=0.012)
        assert set(told) == {chance}


def test_losses_of_any_size_leave_probabilities() -> None:
    hedge = Hedge([0.0, 1.0], eta=1.0)
    hedge.set_losses([1e300, 0.0])
    assert hedge.probabilities().tolist() == [0.0, 1.0]


@pytest.mark.parametrize(("experts", "horizon", "worst"), [(10, 10_000, 1.0), (100, 50_000, 5.0)])
def test_the_rates_are_where_the_bound_is_lowest(experts: int, horizon: int, worst: float) -> None:
    eta, epsilon = rates(experts, horizon, worst)
    assert epsilon < 1.0

    def bound(eta: float, epsilon: float) -> float:
        return math.log(experts) / eta + eta * horizon * worst**2 / (2.0 * epsilon) + epsilon * horizon

    least = bound(eta, epsilon)
    assert least == pytest.approx(1.5 * 2.0 ** (2 / 3) * (worst**2 * math.log(experts) * horizon**2) ** (1 / 3))
    for other_eta, other_epsilon in [(1.1, 1.0), (0.9, 1.0), (1.0, 1.1), (1.0, 0.9), (1.1, 1.1), (0.9, 0.9)]:
        assert bound(eta * other_eta, epsilon * other_epsilon) > least


def test_a_horizon_of_one_frame_explores_it() -> None:
    assert rates(10, 1, 1.0)[1] == 1.0
