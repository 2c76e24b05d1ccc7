"""Every index, worked out by hand from the formula of its paper."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandits.indices.bayes_ucb import BayesUcb
from bandits.indices.exp3 import Exp3
from bandits.indices.kl_ucb import KlUcb, highest_mean
from bandits.indices.statistics import Statistics
from bandits.indices.thompson import Thompson
from bandits.indices.ucb1 import Ucb1
from bandits.indices.ucb_tuned import UcbTuned
from bandits.indices.ucb_v import UcbV

UNIT = (0.0, 1.0)


def seen(*arms: Sequence[float], choices: float) -> Statistics:
    """Statistics of arms with these rewards, after so many choices."""
    statistics = Statistics(len(arms))
    for arm, rewards in enumerate(arms):
        for reward in rewards:
            statistics.add(arm, reward)
    statistics.choices = choices
    return statistics


def discounted(statistics: Statistics, weight: float) -> Statistics:
    """The same counts and sums, as a discount would hold them: in units of `weight`."""
    grown = Statistics(len(statistics.pulls))
    grown.weight, grown.choices = weight, statistics.choices * weight
    grown.replace(
        *([weight * value for value in values] for values in (statistics.pulls, statistics.sums, statistics.squares))
    )
    return grown


def test_ucb1() -> None:
    # .5 + sqrt(2 ln 10 / 4)
    assert Ucb1().values(seen([0, 1, 0, 1], choices=10), [0]) == pytest.approx([1.572983])
    assert Ucb1(c=0.1).values(seen([0, 1, 0, 1], choices=10), [0]) == pytest.approx([0.5758713])


def test_ucb_v() -> None:
    # V = 1/4, E = 1.2 ln 10 = 2.763102: .5 + sqrt(2 * .25 * 2.763102 / 4) + 3 * 2.763102 / 4
    assert UcbV(range=UNIT).values(seen([0, 1, 0, 1], choices=10), [0]) == pytest.approx([3.160024], abs=1e-6)
    # Without variance only the last term is left, and it is in proportion to the range.
    assert UcbV(range=(-1, 1)).values(seen([0.5] * 100, choices=1000), [0]) == pytest.approx([0.9973583], abs=1e-6)
    # c = .5: E is a quarter, .690776
    assert UcbV(c=0.5, range=UNIT).values(seen([0, 1, 0, 1], choices=10), [0]) == pytest.approx([1.311930], abs=1e-6)


def test_ucb_tuned() -> None:
    # V + sqrt(2 ln 10 / 4) = 1.32 is above 1/4, the most that rewards in [0, 1] vary: .5 + sqrt(ln 10 / 4 / 4)
    assert UcbTuned(range=UNIT).values(seen([0, 1, 0, 1], choices=10), [0]) == pytest.approx([0.879357], abs=1e-6)
    # V = 0: sqrt(2 ln 1000 / 1000) = .117539; .5 + sqrt(.00690776 * .117539)
    assert UcbTuned(range=UNIT).values(seen([0.5] * 1000, choices=1000), [0]) == pytest.approx([0.528494], abs=1e-6)


def test_ucb_tuned_scales_with_the_range() -> None:
    small = UcbTuned(range=UNIT).values(seen([0.5, 0.25, 0.4] * 30, choices=200), [0])[0]
    large = UcbTuned(range=(0, 10)).values(seen([5.0, 2.5, 4.0] * 30, choices=200), [0])[0]
    assert large == pytest.approx(10 * small)


def test_kl_ucb_in_closed_form() -> None:
    # Q = 0: d = -ln(1 - q), so q = 1 - t^(-1/N); t = 9, N = 2
    assert KlUcb(arms=1, range=UNIT).values(seen([0, 0], choices=9), [0]) == pytest.approx([2 / 3])
    # Q = 1/2: d = -ln(4 q (1 - q)) / 2, so q = (1 + sqrt(1 - t^(-2/N))) / 2; t = 16, N = 2
    assert KlUcb(arms=1, range=UNIT).values(seen([0, 1], choices=16), [0]) == pytest.approx([0.984123], abs=1e-6)
    assert KlUcb(arms=1, range=UNIT).values(seen([1, 1], choices=9), [0]) == [1.0]
    # The same in [-1, 1]
    assert KlUcb(arms=1).values(seen([-1, -1], choices=9), [0]) == pytest.approx([1 / 3])


@given(mean=st.floats(0.0, 1.0), level=st.floats(1e-9, 50.0))
def test_kl_ucb_spends_exactly_its_budget(mean: float, level: float) -> None:
    q = highest_mean(mean, level)
    assert mean <= q <= 1.0
    if mean < q < 1.0 - 1e-9 and q - mean > 1e-6:
        rest = (1.0 - mean) * math.log((1.0 - mean) / (1.0 - q)) if mean < 1.0 else 0.0
        spent = (mean * math.log(mean / q) if mean > 0.0 else 0.0) + rest
        assert spent == pytest.approx(level, rel=1e-6, abs=1e-9)


@given(
    arms=st.lists(st.lists(st.floats(-1.5, 1.5), min_size=1, max_size=6), min_size=1, max_size=8),
    choices=st.floats(1.0, 1e6),
    c=st.sampled_from([0.0, 0.1, 1.0]),
)
def test_kl_ucb_finds_the_highest_without_working_out_all(arms: list[list[float]], choices: float, c: float) -> None:
    index, statistics = KlUcb(arms=len(arms), c=c), seen(*arms, choices=choices)
    values = index.values(statistics, range(len(arms)))
    assert values[index.choose(statistics, range(len(arms)))] == pytest.approx(max(values), abs=1e-9)


def test_bayes_ucb() -> None:
    # The .975 quantile of N(.5, (1/2)^2 / 4): .5 + 1.959964 / 4
    assert BayesUcb(c=0.5).values(seen([0, 1, 0, 1], choices=40), [0]) == pytest.approx([0.989991], abs=1e-6)
    assert BayesUcb(c=0.5).values(seen([0, 1], choices=1e300), [0])[0] < 20.0


def test_thompson_draws_from_the_posterior() -> None:
    index = Thompson(rng=np.random.default_rng(0), c=0.5)
    statistics = seen([0, 1, 0, 1], choices=40)
    drawn = [index.values(statistics, [0])[0] for _ in range(20_000)]
    assert np.mean(drawn) == pytest.approx(0.5, abs=0.01)
    assert np.std(drawn) == pytest.approx(0.25, abs=0.005)


def test_the_propensity_of_thompson_is_the_share_of_its_choices() -> None:
    index = Thompson(rng=np.random.default_rng(0), c=0.5)
    statistics = seen([0, 1, 0, 1], [1, 0, 1], [0.2] * 9, choices=40)
    played = [index.choose(statistics, [0, 1, 2]) for _ in range(40_000)]
    propensities = [index.propensity(arm, [0, 1, 2]) for arm in range(3)]
    assert sum(propensities) == pytest.approx(1.0, abs=1e-5)
    assert propensities == pytest.approx([played.count(arm) / 40_000 for arm in range(3)], abs=0.01)


def test_the_propensity_of_thompson_is_of_its_own_draw_however_late_it_is_read() -> None:
    index, before = Thompson(rng=np.random.default_rng(0)), seen([0, 1], [1, 0, 1], choices=5)
    at_once = index.propensity(index.choose(before, [0, 1]), [0, 1])
    late = index.chance(index.choose(before, [0, 1]), [0, 1])
    index.choose(seen([0.9] * 50, [0.1] * 50, choices=100), [0, 1])
    assert callable(late)
    assert late() in (pytest.approx(at_once), pytest.approx(1.0 - at_once))


def test_exp3() -> None:
    bandit = Exp3(arms=2, rng=np.random.default_rng(0), gamma=0.2, range=UNIT)
    assert bandit.probabilities([0, 1]) == [0.5, 0.5]
    played = bandit.choose([0, 1])
    assert bandit.propensity(played, [0, 1]) == 0.5
    bandit.update(played, 1.0)
    # x / p = 2, w = exp(.2 * 2 / 2) = 1.221403; .8 * w / (w + 1) + .1
    assert bandit.probabilities([0, 1])[played] == pytest.approx(0.539867, abs=1e-6)
    assert bandit.probabilities([played]) == [1.0]


def test_exp3_takes_rewards_for_choices_only_each_with_its_own_propensity() -> None:
    bandit = Exp3(arms=2, rng=np.random.default_rng(0), gamma=0.2, range=UNIT)
    bandit.update(1, 1.0)
    assert bandit.probabilities([0, 1]) == [0.5, 0.5]
    bandit.choose([1])
    bandit.choose([0, 1])
    bandit.update(1, 1.0)  # late: it was certain, so it weighs exp(.2 / 2)
    w = math.exp(0.1)
    assert bandit.probabilities([0, 1])[1] == pytest.approx(0.8 * w / (w + 1) + 0.1)


def test_exp3_estimates_every_mean_without_bias() -> None:
    means, frames = (0.2, 0.7, 0.5), 30_000
    bandit = Exp3(arms=3, rng=np.random.default_rng(0), gamma=0.9, range=UNIT)
    for _ in range(frames):
        arm = bandit.choose([0, 1, 2])
        bandit.update(arm, means[arm])
    # A weight's logarithm is gamma / A times the sum of reward / propensity.
    totals = np.array(bandit.state()["logs"]) * 3 / 0.9
    assert totals / frames == pytest.approx(means, rel=0.03)


def test_exp3_remembers_a_bounded_number_of_choices_that_nobody_answers() -> None:
    bandit = Exp3(arms=2, rng=np.random.default_rng(0))
    for _ in range(1000):
        bandit.choose([0, 1])
    assert len(json.dumps(bandit.state()["pending"])) < 4000


@pytest.mark.parametrize("weight", [1.0, 7.5, 1e11])
def test_an_index_does_not_depend_on_the_unit_of_the_weights(weight: float) -> None:
    plain = seen([0.1, 0.4], [0.3, 0.2, 0.9], choices=30)
    for index in (Ucb1(), UcbV(), UcbTuned(), KlUcb(arms=2), BayesUcb()):
        values = index.values(plain, [0, 1])
        assert index.values(discounted(plain, weight), [0, 1]) == pytest.approx(values)
