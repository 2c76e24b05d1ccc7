from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from bandits.build import make_policy
from bandits.policy import Answer, Arm, Costs, Observation, Plan, Policy, Ship
from split_core.objective import Objective
from tests.bandits.frames import context, observed, play
from tests.bandits.published.detector import Detector
from tests.bandits.readings import reading

DETECTOR = Detector(
    (0.55, 0.65, 0.75, 0.825, 0.875, 0.925), (0.1, 0.2, 0.2, 0.2, 0.2, 0.1), (0.2, 0.4, 0.8, 0.9, 0.95, 0.99), beta=0.4
)
GIVEN = context(Costs.published(2, per_layer=0.0, offload=0.4))


def policy(seed: int = 0, **params: Any) -> Policy:
    return make_policy("hedge_hi", exits=2, rng=np.random.default_rng(seed), objective=Objective(mu=1.0), params=params)


def losses(subject: Policy) -> list[float]:
    found: list[float] = subject.state()["rule"]["losses"]
    return found


def two_thresholds() -> Policy:
    return policy(thresholds=[0.2, 0.8], learning_rate=0.5, exploration=0.25)


def test_three_frames_by_hand() -> None:
    subject = two_thresholds()
    exploring, low = Plan(GIVEN, (1,), Arm(1, 1.0), 2, 0.25), Plan(GIVEN, (1,), Arm(1, 0.2), 0, 0.375)
    unsure, sure, wrong = reading(1, 0, 0.5), reading(1, 0, 0.9), reading(2, 1, 1.0)
    subject.learn(Observation(low, (unsure,), Answer(1), None, 0.0))
    assert losses(subject) == pytest.approx([0.0, 0.4])
    subject.learn(Observation(exploring, (unsure,), Ship(1), wrong, 0.4))
    assert losses(subject) == pytest.approx([4.0, 0.8])
    subject.learn(Observation(exploring, (sure,), Ship(1), wrong, 0.4))
    assert losses(subject) == pytest.approx([8.0, 4.8])
    plans = [subject.begin(GIVEN) for _ in range(200)]
    weight = math.exp(-0.5 * 3.2)
    chances = {0: 0.75 * weight / (1 + weight), 1: 0.75 / (1 + weight), 2: 0.25}
    for plan in plans:
        assert plan.propensity == pytest.approx(chances[plan.arm_index])


def test_exploring_ships_even_a_certain_reading() -> None:
    subject = policy(exploration=1.0)
    assert isinstance(play(subject, GIVEN, [reading(1, 0, 1.0), reading(2, 0, 1.0)])[2], Ship)


def test_a_reply_to_an_unsure_frame_says_nothing_about_answering() -> None:
    subject = two_thresholds()
    high = Plan(GIVEN, (1,), Arm(1, 0.8), 1, 0.375)
    subject.learn(Observation(high, (reading(1, 0, 0.5),), Ship(1), reading(2, 1, 1.0), 0.4))
    assert losses(subject) == pytest.approx([0.0, 0.4])


def test_charges_are_the_losses_in_expectation() -> None:
    subject = policy(thresholds=[0.0, 0.7, 0.9], learning_rate=1e-9, exploration=0.1)
    frames = 30_000
    DETECTOR.play(subject, frames, 0)
    answered, confidence = DETECTOR.answered()[0], np.array(DETECTOR.confidence)
    true = [
        float(np.where(confidence >= edge, answered, DETECTOR.beta) @ np.array(DETECTOR.share))
        for edge in (0.0, 0.7, 0.9)
    ]
    assert (np.array(losses(subject)) / frames).tolist() == pytest.approx(true, abs=0.02)


def test_draws_come_as_often_as_they_say() -> None:
    subject = two_thresholds()
    subject.learn(Observation(Plan(GIVEN, (1,), Arm(1, 0.2), 0), (reading(1, 0, 0.5),), Answer(1), None, 0.0))
    plans = [subject.begin(GIVEN) for _ in range(20_000)]
    for place in range(3):
        met = [plan.propensity for plan in plans if plan.arm_index == place]
        assert len(met) / len(plans) == pytest.approx(met[0], abs=0.012)


def test_regret_stays_within_its_bound_and_grows_slower_than_time() -> None:
    thresholds = [0.0, 0.6, 0.7, 0.8, 0.85, 0.9, 1.0]
    found = {horizon: regret(thresholds, horizon) for horizon in (2000, 32_000)}
    for horizon, lost in found.items():
        assert lost < 2.381 * (horizon**2 * math.log(len(thresholds))) ** (1 / 3)
    assert found[32_000] < 0.6 * 16 * found[2000]


def regret(thresholds: list[float], horizon: int) -> float:
    """Against the best threshold, mean over two seeds."""
    found = []
    for seed in range(2):
        lost, _ = DETECTOR.play(policy(seed, thresholds=thresholds, horizon=horizon), horizon, seed)
        found.append(float(lost.sum()) - horizon * DETECTOR.threshold())
    return float(np.mean(found))


def test_in_the_end_it_plays_the_best_threshold_but_for_what_it_explores() -> None:
    frames, epsilon = 30_000, 0.05
    subject = policy(exploration=epsilon, learning_rate=0.01)
    lost, best = DETECTOR.play(subject, frames, 0)
    exploring = epsilon * (DETECTOR.beta - DETECTOR.threshold())
    assert lost[-10_000:].mean() == pytest.approx(best[-10_000:].mean() + exploring, abs=0.01)
    weights = np.bincount([subject.begin(GIVEN).arm_index for _ in range(2000)], minlength=11)[:-1]
    assert 0.65 < 0.7 <= (0.0, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 1.0)[int(weights.argmax())] < 0.8


def test_an_observed_frame_reads_only_the_split() -> None:
    subject = make_policy(
        "hedge_hi", exits=4, rng=np.random.default_rng(0), objective=Objective(mu=1.0), params={"split": 3}
    )
    given = context(Costs.published(4, per_layer=0.1, offload=0.3))
    seen = observed(subject, given, [reading(exit, 0, 0.5) for exit in range(1, 5)])
    assert [one.exit for one in seen.readings] == [3]
