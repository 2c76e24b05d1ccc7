from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandits.build import make_policy
from bandits.policy import Answer, Costs, Observation, Plan, Policy, Ship
from bandits.published.hi_lcb import LowerBounds
from split_core.objective import Objective
from split_core.tensors import FloatArray
from tests.bandits.frames import context, observed, play
from tests.bandits.published.detector import Detector
from tests.bandits.readings import reading

# Answering pays from the third bin on, and the surest bins are rare.
CONFIDENCE = (0.55, 0.65, 0.75, 0.825, 0.875, 0.925)
DETECTOR = Detector(CONFIDENCE, (0.2, 0.2, 0.4, 0.1, 0.05, 0.05), (0.3, 0.5, 0.85, 0.87, 0.88, 0.89), beta=0.35)
FRAMES, SEEDS = 40_000, (0, 1, 2)


def policy(name: str, **params: Any) -> Policy:
    return make_policy(name, exits=2, rng=np.random.default_rng(0), objective=Objective(mu=1.0), params=params)


def taught(*, monotone: bool, verdicts: list[list[int]], alpha: float = 0.52) -> LowerBounds:
    """Bins of edges .5, .6, ...; for each its verdicts, 1 where the device was right, one per frame."""
    rule = LowerBounds("x", [0.5, 0.6, 0.7][: len(verdicts) - 1], alpha=alpha, monotone=monotone)
    for place, seen in enumerate(verdicts):
        for right in seen:
            rule.draw()
            rule.learn(-1, reading(1, 0, 0.45 + 0.1 * place), 0.3, reading(2, 1 - right, 1.0))
    return rule


def test_the_bound_is_the_share_right_less_the_radius() -> None:
    rule = taught(monotone=False, verdicts=[[1], [1, 1, 0]])
    assert rule.lower_bound(1) == pytest.approx(2 / 3 - math.sqrt(0.52 * math.log(4) / 3))
    assert rule.lower_bound(1) == pytest.approx(0.17648, abs=1e-5)
    assert rule.lower_bound(0) == pytest.approx(1.0 - math.sqrt(0.52 * math.log(4)))


def test_a_bin_without_verdicts_is_shipped_unless_asking_costs_more_than_any_mistake() -> None:
    rule = taught(monotone=False, verdicts=[[], []])
    assert rule.ships(-1, reading(1, 0, 0.99), 1.0)
    assert not rule.ships(-1, reading(1, 0, 0.99), 1.01)


def test_a_sure_bin_is_released_by_what_a_less_sure_one_has_shown() -> None:
    verdicts = [[1] * 100, []]
    sure = reading(1, 0, 0.9)
    assert taught(monotone=False, verdicts=verdicts).ships(-1, sure, 0.3)
    assert not taught(monotone=True, verdicts=verdicts).ships(-1, sure, 0.3)
    assert taught(monotone=True, verdicts=[[], [1] * 100]).ships(-1, reading(1, 0, 0.4), 0.3)


@given(st.lists(st.lists(st.integers(0, 1), max_size=30), min_size=4, max_size=4), st.floats(0.0, 1.0))
def test_hi_lcb_always_plays_a_threshold(verdicts: list[list[int]], price: float) -> None:
    rule = taught(monotone=True, verdicts=verdicts)
    shipped = [rule.ships(-1, reading(1, 0, confidence), price) for confidence in (0.4, 0.55, 0.65, 0.75)]
    assert shipped == sorted(shipped, reverse=True)


def test_lite_looks_at_one_bin_only() -> None:
    alone, among = taught(monotone=False, verdicts=[[], [1, 0, 1]]), taught(monotone=False, verdicts=[[], [1, 0, 1]])
    for _ in range(50):
        among.learn(-1, reading(1, 0, 0.2), 0.3, reading(2, 0, 1.0))
    assert among.lower_bound(1) == alone.lower_bound(1)


@pytest.mark.parametrize("name", ["hi_lcb", "hi_lcb_lite"])
def test_a_new_price_counts_from_the_next_frame_on(name: str) -> None:
    subject = policy(name)
    DETECTOR.play(subject, 3000, 0)
    every = [reading(1, 0, 0.925), reading(2, 0, 1.0)]
    dear, cheap = (context(Costs.published(2, per_layer=0.0, offload=price)) for price in (0.5, 0.001))
    assert isinstance(play(subject, dear, every)[2], Answer)
    assert isinstance(play(subject, cheap, every)[2], Ship)


def test_what_the_device_answered_teaches_nothing_without_an_audit() -> None:
    subject = policy("hi_lcb")
    given_ = context(Costs.published(2, per_layer=0.0, offload=0.3))
    seen = observed(subject, given_, [reading(1, 0, 0.9), reading(2, 0, 1.0)])
    before = subject.state()
    subject.learn(Observation(seen.plan, seen.readings, Answer(1), None, 0.0))
    assert subject.state() == before
    subject.learn(Observation(seen.plan, seen.readings, Answer(1), reading(2, 0, 1.0), 0.0))
    assert subject.state()["rule"]["right"] != before["rule"]["right"]


def test_a_reading_that_a_guard_bars_is_not_counted() -> None:
    subject = policy("hi_lcb")
    plan = subject.begin(context(Costs.published(2, per_layer=0.0, offload=0.3)))
    assert isinstance(plan, Plan)
    before = subject.state()
    subject.learn(Observation(plan, (reading(1, 0, -1.0),), Ship(1), reading(2, 0, 1.0), 0.0))
    assert subject.state() == before


@pytest.fixture(scope="module")
def regrets() -> dict[str, FloatArray]:
    """Cumulative regret against the best decision per bin, mean over the seeds."""
    return {name: np.mean([regret(name, seed) for seed in SEEDS], axis=0) for name in ("hi_lcb", "hi_lcb_lite")}


def regret(name: str, seed: int) -> FloatArray:
    lost, best = DETECTOR.play(policy(name), FRAMES, seed)
    return np.cumsum(lost - best)


def explained(regret: FloatArray, by: FloatArray) -> float:
    """R^2 of a straight line."""
    return float(np.corrcoef(regret, by)[0, 1] ** 2)


@pytest.mark.parametrize("name", ["hi_lcb", "hi_lcb_lite"])
def test_regret_grows_with_the_logarithm_of_time(name: str, regrets: dict[str, FloatArray]) -> None:
    frame, found = np.arange(1.0, FRAMES + 1)[500:], regrets[name][500:]
    assert explained(found, np.log(frame)) > explained(found, frame)
    assert found[-1] < 1.6 * regrets[name][FRAMES // 10]


def test_learning_from_less_sure_bins_saves_regret(regrets: dict[str, FloatArray]) -> None:
    assert regrets["hi_lcb"][-1] < 0.8 * regrets["hi_lcb_lite"][-1]


@pytest.mark.parametrize("name", ["hi_lcb", "hi_lcb_lite"])
def test_in_the_end_it_costs_what_the_best_threshold_does(name: str) -> None:
    lost, best = DETECTOR.play(policy(name), FRAMES, 0)
    assert best.mean() == pytest.approx(DETECTOR.threshold(), rel=0.02)
    assert lost[-10_000:].mean() < 1.02 * best[-10_000:].mean()


def test_unlike_a_threshold_lite_ships_a_bin_that_is_sure_and_wrong() -> None:
    overconfident = Detector(CONFIDENCE, (0.1, 0.1, 0.2, 0.2, 0.2, 0.2), (0.3, 0.5, 0.95, 0.95, 0.95, 0.2), beta=0.35)
    lost, _ = overconfident.play(policy("hi_lcb_lite"), 20_000, 0)
    assert lost[-5000:].mean() < 0.9 * overconfident.threshold()
