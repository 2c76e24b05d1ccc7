"""Rewards worked by hand: lambda = .1 per layer, o = .3 per offload, mu = 1 unless a test says otherwise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandits import POLICIES
from bandits.build import make_policy
from bandits.path_model import PathModel
from bandits.policy import Action, Answer, Arm, Context, Costs, Observation, Plan, Policy, Ship
from bandits.replay import replay
from bandits.rewards import SplitEEReward, SplitEESReward, UcbeeReward, no_rewards, running_costs
from bandits.runs import Run
from split_core.objective import Objective
from split_core.traces import Traces
from tests.bandits.frames import context, random_traces
from tests.bandits.readings import reading

LAYERS = 12
PAPER = Costs.published(LAYERS, per_layer=0.1, offload=0.3)
SPLITS = [Arm(split, 0.85) for split in range(1, LAYERS + 1)]
ALPHAS = [Arm(1, alpha) for alpha in (0.0, 0.5, 0.8, 1.0)]


def seen(
    confidences: dict[int, float],
    action: Action,
    *,
    arm: Arm,
    index: int,
    verdict: float | None = None,
    given_context: Context | None = None,
) -> Observation:
    """An observation of exits `confidences`, playing `arm`."""
    plan = Plan(given_context or context(PAPER), tuple(confidences), arm, index)
    readings = tuple(reading(exit, 0, value) for exit, value in confidences.items())
    final = None if verdict is None else reading(LAYERS, 0, verdict)
    assert isinstance(action, Answer | Ship)
    return Observation(plan, readings, action, final, math.nan)


def test_splitee_pays_the_confidence_less_the_layers_for_an_answer() -> None:
    frame = seen({3: 0.9}, Answer(3), arm=SPLITS[2], index=2)
    assert list(SplitEEReward(mu=1.0)(frame)) == [(2, pytest.approx(0.9 - 0.3))]


def test_splitee_pays_the_final_confidence_less_offload_and_layers_for_a_shipped_frame() -> None:
    frame = seen({3: 0.6}, Ship(3), arm=SPLITS[2], index=2, verdict=0.95)
    assert list(SplitEEReward(mu=1.0)(frame)) == [(2, pytest.approx(0.95 - 0.3 - 0.3))]


def test_splitee_pays_its_own_confidence_at_the_last_layer_however_low() -> None:
    frame = seen({12: 0.5}, Answer(12), arm=SPLITS[11], index=11)
    assert list(SplitEEReward(mu=1.0)(frame)) == [(11, pytest.approx(0.5 - 1.2))]


def test_mu_prices_every_cost() -> None:
    frame = seen({3: 0.6}, Ship(3), arm=SPLITS[2], index=2, verdict=0.95)
    assert list(SplitEEReward(mu=0.1)(frame)) == [(2, pytest.approx(0.95 - 0.06))]


def test_only_heads_that_were_read_are_paid_for() -> None:
    """SplitEE reads one head, SplitEE-S all on the way: lambda splits into .08 for a layer and .02 for its head."""
    costs = Costs.published(LAYERS, per_layer=0.08, offload=0.3, head=0.02)
    one = seen({3: 0.9}, Answer(3), arm=SPLITS[2], index=2, given_context=context(costs))
    every = seen({1: 0.5, 2: 0.6, 3: 0.9}, Answer(3), arm=SPLITS[2], index=2, given_context=context(costs))
    assert running_costs(one) == pytest.approx([0.26])
    assert running_costs(every) == pytest.approx([0.1, 0.2, 0.3])


def test_splitee_s_pays_every_split_up_to_the_played_one_of_a_shipped_frame() -> None:
    frame = seen({1: 0.5, 2: 0.9, 3: 0.7}, Ship(3), arm=SPLITS[2], index=2, verdict=0.95)
    assert dict(SplitEESReward(SPLITS, mu=1.0)(frame)) == pytest.approx(
        {0: 0.95 - 0.3 - 0.1, 1: 0.9 - 0.2, 2: 0.95 - 0.3 - 0.3}
    )


def test_splitee_s_imputes_the_final_confidence_with_the_played_one_of_a_local_answer() -> None:
    frame = seen({1: 0.5, 2: 0.7, 3: 0.9}, Answer(3), arm=SPLITS[2], index=2)
    assert dict(SplitEESReward(SPLITS, mu=1.0)(frame)) == pytest.approx(
        {0: 0.9 - 0.3 - 0.1, 1: 0.9 - 0.3 - 0.2, 2: 0.9 - 0.3}
    )


def test_splitee_s_never_ships_from_the_last_layer() -> None:
    frame = seen(dict.fromkeys(range(1, 13), 0.5), Answer(12), arm=SPLITS[11], index=11)
    paid = dict(SplitEESReward(SPLITS, mu=1.0)(frame))
    assert paid[11] == pytest.approx(0.5 - 1.2)
    assert paid[10] == pytest.approx(0.5 - 0.3 - 1.1)
    assert len(paid) == 12


def test_splitee_s_pays_no_arm_that_may_not_ship() -> None:
    costs = Costs(PAPER.device, PAPER.head, np.where(np.arange(LAYERS) == 1, np.inf, 0.3), PAPER.payload)
    frame = seen({1: 0.5, 2: 0.9}, Answer(2), arm=SPLITS[1], index=1, given_context=context(costs))
    assert [arm for arm, _ in SplitEESReward(SPLITS, mu=1.0)(frame)] == [1]


def test_ucbee_pays_nothing_for_a_local_answer_to_every_threshold_up_to_the_played_one() -> None:
    frame = seen({1: 0.9}, Answer(1), arm=ALPHAS[2], index=2)
    assert list(UcbeeReward(ALPHAS, mu=1.0)(frame)) == [(0, 0.0), (1, 0.0), (2, 0.0)]


def test_ucbee_pays_the_gain_less_the_offload_to_the_thresholds_that_would_have_shipped() -> None:
    frame = seen({1: 0.6}, Ship(1), arm=ALPHAS[2], index=2, verdict=0.95)
    assert dict(UcbeeReward(ALPHAS, mu=1.0)(frame)) == pytest.approx({0: 0.0, 1: 0.0, 2: 0.35 - 0.3})
    everything = seen({1: 0.3}, Ship(1), arm=ALPHAS[3], index=3, verdict=0.95)
    assert dict(UcbeeReward(ALPHAS, mu=1.0)(everything)) == pytest.approx({0: 0.0, 1: 0.35, 2: 0.35, 3: 0.35})


def test_ucbee_clips_a_loss_of_confidence() -> None:
    frame = seen({1: 0.6}, Ship(1), arm=ALPHAS[2], index=2, verdict=0.4)
    assert dict(UcbeeReward(ALPHAS, mu=0.5)(frame))[2] == pytest.approx(-0.15)


@given(st.integers(0, 3), st.floats(0, 1), st.floats(0, 1))
def test_ucbee_never_touches_a_threshold_above_the_played_one(index: int, first: float, final: float) -> None:
    shipped = first < ALPHAS[index].threshold
    frame = seen({1: first}, Ship(1) if shipped else Answer(1), arm=ALPHAS[index], index=index,
                 verdict=final if shipped else None)  # fmt: skip
    assert [arm for arm, _ in UcbeeReward(ALPHAS, mu=1.0)(frame)] == list(range(index + 1))


@given(st.integers(0, 3), st.floats(0, 1), st.floats(0, 1))
def test_what_ucbee_pays_an_arm_does_not_depend_on_which_arm_was_played(index: int, first: float, final: float) -> None:
    def paid(played: int) -> dict[int, float]:
        shipped = first < ALPHAS[played].threshold
        frame = seen({1: first}, Ship(1) if shipped else Answer(1), arm=ALPHAS[played], index=played,
                     verdict=final if shipped else None)  # fmt: skip
        return dict(UcbeeReward(ALPHAS, mu=1.0)(frame))

    assert paid(3).items() >= paid(index).items()


def test_policies_that_do_not_learn_pay_nothing() -> None:
    assert list(no_rewards(seen({3: 0.9}, Answer(3), arm=SPLITS[2], index=2))) == []


@pytest.mark.parametrize("name", list(POLICIES))
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), others=st.floats(0.0, 1.0))
def test_a_verdict_that_was_never_observed_is_never_used(name: str, seed: int, others: float) -> None:
    """Change the final exit where the device answered before it: nothing that was decided or learned may move."""
    traces = random_traces(80, 4, seed, payloads=False)
    model = PathModel.published(4, per_layer=0.1, offload=0.2)
    subject, run = replayed(name, traces, model)
    hidden = (run.shipped < 0) & (run.exit < 4)
    confidence = traces.confidence.copy()
    confidence[hidden, -1] = others
    changed = Traces(confidence, traces.prediction, traces.labels)
    again, same = replayed(name, changed, model)
    assert again.state() == subject.state()
    np.testing.assert_array_equal(same.arm, run.arm)


def replayed(name: str, traces: Traces, model: PathModel) -> tuple[Policy, Run]:
    policy = make_policy(name, exits=4, rng=np.random.default_rng(0), objective=Objective(mu=1.0))
    return policy, replay(policy, traces, model, np.random.default_rng(0))


def test_every_rule_works_without_a_verdict_when_the_device_answered() -> None:
    rules: list[Any] = [SplitEEReward(mu=1.0), SplitEESReward(SPLITS, mu=1.0), UcbeeReward(SPLITS, mu=1.0)]
    frame = seen({1: 0.9}, Answer(1), arm=SPLITS[0], index=0)
    assert frame.verdict is None
    assert [len(list(rule(frame))) for rule in rules] == [1, 1, 1]
