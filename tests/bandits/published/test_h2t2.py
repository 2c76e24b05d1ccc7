from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from bandits.build import make_policy
from bandits.policy import Answer, Costs, Observation, Plan, Policy, Ship
from split_core.objective import Objective
from tests.bandits.frames import context
from tests.bandits.published.detector import Detector
from tests.bandits.readings import reading

GIVEN = context(Costs.published(2, per_layer=0.0, offload=0.4))
# A miss costs 4: "nothing there" may be answered in the two surest bins only, an alarm already in the second.
DETECTOR = Detector(
    (0.55, 0.65, 0.75, 0.825, 0.875, 0.925),
    (0.1, 0.2, 0.2, 0.2, 0.2, 0.1),
    (0.2, 0.8, 0.8, 0.85, 0.95, 0.99),
    beta=0.4,
    miss=4.0,
)


def policy(seed: int = 0, **params: Any) -> Policy:
    return make_policy("h2t2", exits=2, rng=np.random.default_rng(seed), objective=Objective(mu=1.0), params=params)


def exploring(index: int) -> Plan:
    return Plan(GIVEN, (1,), None, index, 0.25)


def test_mistakes_are_charged_what_they_cost_and_to_what_was_said() -> None:
    subject = policy(thresholds=[0.2, 0.8], miss=6.0, exploration=0.25, learning_rate=0.5)
    missed = Observation(exploring(4), (reading(1, 0, 0.5),), Ship(1), reading(2, 1, 1.0), 0.4)
    false_alarm = Observation(exploring(4), (reading(1, 1, 0.5),), Ship(1), reading(2, 0, 1.0), 0.4)
    answered = Observation(Plan(GIVEN, (1,), None, 0), (reading(1, 1, 0.9),), Answer(1), None, 0.0)
    for seen in (missed, false_alarm, answered):
        subject.learn(seen)
    rule = subject.state()["rule"]
    assert rule["other"] == pytest.approx([24.0, 0.4])
    assert rule["positive"] == pytest.approx([4.0, 0.4])


def test_among_other_classes_a_mistake_costs_one() -> None:
    subject = policy(thresholds=[0.2], positive=7, exploration=0.5)
    subject.learn(Observation(exploring(1), (reading(1, 0, 0.5),), Ship(1), reading(2, 3, 1.0), 0.4))
    assert subject.state()["rule"]["other"] == pytest.approx([2.0])


def test_a_product_of_weights_is_the_weight_of_the_pair() -> None:
    """All pairs charged one by one, as the paper has it, against two lists."""
    thresholds, eta = [0.3, 0.6, 0.9], 0.05
    subject = policy(thresholds=thresholds, exploration=0.5, learning_rate=eta, miss=3.0)
    pairs, rng = np.zeros((3, 3)), np.random.default_rng(1)
    for _ in range(60):
        said, told, sure = int(rng.integers(2)), int(rng.integers(2)), float(rng.random())
        subject.learn(Observation(exploring(9), (reading(1, said, sure),), Ship(1), reading(2, told, 1.0), 0.4))
        mistake = 0.0 if said == told else 3.0 if told == 1 else 1.0
        for one, other in product(range(3), repeat=2):
            answers = sure >= thresholds[one if said == 1 else other]
            pairs[one, other] += mistake / 0.5 if answers else 0.4
    chances = np.exp(-eta * (pairs - pairs.min()))
    chances /= chances.sum()
    for plan in (subject.begin(GIVEN) for _ in range(100)):
        if plan.arm_index < 9:
            assert plan.propensity == pytest.approx(0.5 * chances.flat[plan.arm_index])


def test_where_a_miss_costs_more_an_alarm_needs_less_confidence_than_none() -> None:
    subject = policy(exploration=0.05, learning_rate=0.01, miss=DETECTOR.miss)
    lost, best = DETECTOR.play(subject, 30_000, 0)
    rule, thresholds = subject.state()["rule"], subject.state()["thresholds"]
    alarm, none = (thresholds[int(np.argmin(rule[kind]))] for kind in ("positive", "other"))
    assert (alarm, none) == (0.6, 0.85)
    assert lost[-10_000:].mean() < 1.15 * best[-10_000:].mean()


def test_two_thresholds_cost_less_than_the_best_one() -> None:
    lost, _ = DETECTOR.play(policy(exploration=0.02, learning_rate=0.02, miss=DETECTOR.miss), 30_000, 0)
    assert lost[-10_000:].mean() < 0.97 * DETECTOR.threshold()


def test_regret_per_frame_falls() -> None:
    lost, best = DETECTOR.play(policy(horizon=20_000, miss=DETECTOR.miss), 20_000, 0)
    regret = lost - best
    assert regret[-4000:].mean() < 0.5 * regret[:4000].mean()
