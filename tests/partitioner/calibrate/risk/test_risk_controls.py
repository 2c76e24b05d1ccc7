from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partitioner.calibrate.risk import RISK_CONTROLS
from partitioner.calibrate.risk.crc import crc
from partitioner.calibrate.risk.ltt import fewest_for, ltt, p_values
from partitioner.calibrate.risk.naive import naive
from partitioner.calibrate.risk.sequence import RiskControl, before_first_failure
from partitioner.calibrate.risk.wsr import bets, log_wealth, upper_bound, wsr
from split_core.errors import ConfigError

EVERY = pytest.mark.parametrize("name", list(RISK_CONTROLS))
BOUNDS = pytest.mark.parametrize("name", ["ltt", "wsr"])


def column(errors: int, n: int) -> np.ndarray:
    """(n,) with so many losses of 1, spread evenly."""
    return (np.arange(n) * errors % n < errors).astype(float)


def by_threshold(*errors: int, n: int) -> np.ndarray:
    return np.stack([column(count, n) for count in errors], axis=1)


def control(name: str) -> RiskControl:
    found: RiskControl = RISK_CONTROLS.load(name)
    return found


@EVERY
def test_of_thresholds_that_pass_the_loosest_is_taken(name: str) -> None:
    losses = by_threshold(0, 0, 1, 900, n=2000)
    assert control(name)(losses, epsilon=0.05, delta=0.1) == 2


@EVERY
def test_when_the_strictest_fails_there_is_none(name: str) -> None:
    assert control(name)(by_threshold(1900, 0, n=2000), epsilon=0.05, delta=0.1) is None


@EVERY
def test_what_lies_beyond_a_failure_is_never_taken(name: str) -> None:
    losses = by_threshold(0, 1000, 0, 0, n=2000)
    assert control(name)(losses, epsilon=0.05, delta=0.1) == 0


@EVERY
@pytest.mark.parametrize(
    "losses", [np.empty((0, 3)), np.zeros(5), np.full((4, 2), 1.5), np.array([[np.nan]]), np.empty((3, 0))]
)
def test_what_is_no_table_of_losses_is_refused(name: str, losses: np.ndarray) -> None:
    with pytest.raises(ValueError, match="losses must be"):
        control(name)(losses, epsilon=0.1, delta=0.1)


@EVERY
@pytest.mark.parametrize(("epsilon", "delta"), [(0.0, 0.1), (1.0, 0.1), (0.1, 0.0), (0.1, 1.0), (math.nan, 0.1)])
def test_risks_outside_zero_and_one_are_refused(name: str, epsilon: float, delta: float) -> None:
    with pytest.raises(ValueError, match=r"must be in \(0, 1\)"):
        control(name)(np.zeros((5, 2)), epsilon=epsilon, delta=delta)


def test_a_misspelt_control_is_named() -> None:
    with pytest.raises(ConfigError, match="no risk control named 'wsx'; did you mean 'wsr'"):
        RISK_CONTROLS.load("wsx")


def test_naive_is_strict_and_not_fooled_by_float_noise() -> None:
    # 3 losses of 0.1 sum to 0.30000000000000004, one tenth of 10 * 0.3 is not below 0.03.
    losses = np.zeros((10, 2))
    losses[:3, 1] = 0.1
    assert naive(losses, epsilon=0.03, delta=0.1) == 0
    assert naive(losses, epsilon=0.031, delta=0.1) == 1


def test_crc_takes_what_meets_its_bound_exactly() -> None:
    # n = 9, epsilon = 0.2: (10 * 0.2 - 1) = 1 loss of 9 is allowed, 2 are not.
    assert crc(by_threshold(0, 1, 2, n=9), epsilon=0.2, delta=0.1) == 1
    # n = 18, epsilon = 0.1: 19 * 0.1 - 1 = 0.9 losses, so none.
    assert crc(by_threshold(0, 1, n=18), epsilon=0.1, delta=0.1) == 0
    # n = 8, epsilon = 0.1: 9 * 0.1 - 1 < 0, so no threshold at all.
    assert crc(by_threshold(0, n=8), epsilon=0.1, delta=0.1) is None


def test_hoeffding_bentkus_by_hand() -> None:
    # No loss: KL(0 | 0.1) = -ln 0.9, so p = 0.9^n; Bentkus has e times that.
    assert p_values(np.array([0.0]), 22, 0.1) == pytest.approx(0.9**22)
    # 1 of 50: KL(.02 | .1) = .02 ln .2 + .98 ln(.98 / .9) = .0512648, p = exp(-50 KL) = .0770; Bentkus .0918.
    kl = 0.02 * math.log(0.2) + 0.98 * math.log(0.98 / 0.9)
    assert p_values(np.array([1.0]), 50, 0.1) == pytest.approx(math.exp(-50 * kl))
    assert p_values(np.array([1.0]), 50, 0.1) == pytest.approx(0.0770, abs=1e-4)
    # A mean above epsilon proves nothing.
    assert p_values(np.array([20.0]), 100, 0.1) == pytest.approx(1.0)


def test_bentkus_is_the_smaller_one_for_whole_numbers_far_from_zero() -> None:
    # e P(Bin(20, .5) <= 5) = e * 21700 / 2^20 = .05625; exp(-20 KL(.25 | .5)) = exp(-20 * .130812) = .07308.
    assert p_values(np.array([5.0]), 20, 0.5) == pytest.approx(math.e * 21700 / 2**20)


def test_no_loss_at_all_gives_a_number() -> None:
    with np.errstate(all="raise"):
        assert np.isfinite(p_values(np.array([0.0, 1.0]), 10, 0.1)).all()


def test_float_noise_does_not_add_an_error() -> None:
    noisy = 5.0 + 1e-12
    assert p_values(np.array([noisy]), 20, 0.5) == pytest.approx(p_values(np.array([5.0]), 20, 0.5))


def test_ltt_needs_22_clean_samples_for_a_tenth() -> None:
    assert ltt(np.zeros((22, 3)), epsilon=0.1, delta=0.1) == 2
    assert ltt(np.zeros((21, 3)), epsilon=0.1, delta=0.1) is None
    assert fewest_for(0.1, 0.1) == 22
    assert fewest_for(0.02, 0.1) == 114


def test_ltt_gives_no_credit_for_negative_losses() -> None:
    losses = np.where(np.arange(100)[:, None] < 50, -1.0, 0.5)
    assert ltt(losses, epsilon=0.1, delta=0.1) is None
    assert naive(losses, epsilon=0.1, delta=0.1) == 0


def test_the_betting_bound_by_hand() -> None:
    # All stakes are 1 (sqrt(2 ln 10 / (4 * .25)) = 2.1 and more), so wealth is (1 + R)^4 = 10 at R = 10^(1/4) - 1.
    assert upper_bound(np.zeros(4), 0.1) == pytest.approx(10**0.25 - 1)
    # One sample can at most double the wealth: nothing is known.
    assert upper_bound(np.zeros(1), 0.1) == pytest.approx(1.0)


def test_stakes_come_from_the_samples_before() -> None:
    # Variance after the loss of 1: mean (.5 + 1) / 2 = .75, (.25 + .0625) / 2 = .15625.
    staked = bets(np.array([[1.0], [0.0]] + [[0.0]] * 98), 0.1)[:, 0]
    assert staked[0] == pytest.approx(math.sqrt(2 * math.log(10) / (100 * 0.25)))
    assert staked[1] == pytest.approx(math.sqrt(2 * math.log(10) / (100 * 0.15625)))


def test_ruin_is_no_error() -> None:
    with np.errstate(all="raise"):
        assert log_wealth(np.array([[1.0]]), np.array([[1.0]]), 0.0)[0] == -math.inf


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=60), st.floats(0.05, 0.95))
def test_choosing_and_solving_for_the_bound_agree(losses: list[float], epsilon: float) -> None:
    bound = upper_bound(np.array(losses), 0.1)
    chosen = wsr(np.array(losses)[:, None], epsilon=epsilon, delta=0.1)
    if abs(bound - epsilon) > 1e-9:
        assert (chosen == 0) is (bound < epsilon)


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 300),
    st.floats(0.02, 0.5),
    st.sampled_from(list(RISK_CONTROLS)),
)
def test_a_greater_epsilon_never_gives_a_stricter_threshold(seed: int, n: int, epsilon: float, name: str) -> None:
    rng = np.random.default_rng(seed)
    losses = (rng.random((n, 1)) < np.linspace(0.0, 0.6, 12)).astype(float)
    places = [control(name)(losses, epsilon=one, delta=0.1) for one in (epsilon, min(0.99, 1.3 * epsilon))]
    stricter, looser = (-1 if place is None else place for place in places)
    assert stricter <= looser


@BOUNDS
@pytest.mark.parametrize(("epsilon", "n"), [(0.1, 100), (0.05, 400)])
def test_the_promise_is_broken_no_more_often_than_said(name: str, epsilon: float, n: int) -> None:
    """Bernoulli losses of known risk: the share of broken promises over many calibrations."""
    delta, trials = 0.1, 1000
    risks = np.linspace(0.0, 3 * epsilon, 40)
    broken = 0
    for seed in range(trials):
        draws = np.random.default_rng([seed, n]).random((n, 1))
        chosen = control(name)((draws < risks).astype(float), epsilon=epsilon, delta=delta)
        broken += chosen is not None and risks[chosen] > epsilon
    assert broken / trials <= delta + 3 * math.sqrt(delta * (1 - delta) / trials)
    assert broken > 0 or name == "ltt"  # a bound that is never broken would say little


@BOUNDS
def test_the_promise_holds_for_losses_that_are_not_monotone(name: str) -> None:
    epsilon, delta, trials = 0.1, 0.1, 600
    risks = np.tile([0.05, 0.11], 20)
    broken = 0
    for seed in range(trials):
        draws = np.random.default_rng(seed).random((200, 40))
        chosen = control(name)((draws < risks).astype(float), epsilon=epsilon, delta=delta)
        broken += chosen is not None and risks[chosen] > epsilon
    assert broken / trials <= delta + 3 * math.sqrt(delta * (1 - delta) / trials)


def test_crc_keeps_its_mean() -> None:
    epsilon, n = 0.1, 60
    risks = np.linspace(0.0, 0.4, 81)
    reached = []
    for seed in range(2000):
        draws = np.random.default_rng(seed).random((n, 1))
        chosen = crc((draws < risks).astype(float), epsilon=epsilon, delta=0.1)
        reached.append(0.0 if chosen is None else float(risks[chosen]))
    error = float(np.std(reached)) / math.sqrt(len(reached))
    assert np.mean(reached) <= epsilon + 3 * error
    assert np.mean(reached) > 0.8 * epsilon


def test_stricter_promises_cost_more() -> None:
    risks = np.linspace(0.0, 0.4, 81)
    draws = np.random.default_rng(3).random((400, 1))
    losses = (draws < risks).astype(float)
    places = [control(name)(losses, epsilon=0.1, delta=0.1) or 0 for name in ("naive", "crc", "wsr", "ltt")]
    assert all(a >= b for a, b in itertools.pairwise(places))
    assert places[-1] > 0


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_the_run_ends_before_the_first_failure(passes: list[bool]) -> None:
    place = before_first_failure(np.array(passes))
    run = list(itertools.takewhile(bool, passes))
    assert place == (len(run) - 1 if run else None)
