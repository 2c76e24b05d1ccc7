from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandits.hindsight import Hindsight
from bandits.path_model import PathModel
from bandits.policy import Arm
from bandits.regret import RewardTable, arm_means, best_fixed_arm, default_arms
from bandits.stream import in_order
from split_core.traces import Traces
from tests.bandits.frames import path_model, random_traces

DEADLINES = [None, 30.0, 55.0, 60.0, 1000.0]
ARMS = [Arm(0, 1.0), Arm(1, 0.0), Arm(1, 0.6), Arm(2, 0.6), Arm(2, 1.0), Arm(3, 0.0), Arm(3, 0.9)]


def naive_mean(traces: Traces, arm: Arm, model: PathModel) -> float:
    """Every frame with every residual of the link, one after the other."""
    earned = [
        naive_reward(traces, sample, arm, model, residual_ms)
        for sample in range(traces.samples)
        for residual_ms in model.link_residual_ms
    ]
    return float(np.mean(earned))


def naive_reward(traces: Traces, sample: int, arm: Arm, model: PathModel, residual_ms: float) -> float:
    depth, said = arm.split, traces.confidence[sample]
    ready_ms = model.frame_ms + model.device_ms[depth] + model.head_ms[depth]
    if depth == model.exits or (depth > 0 and said[depth - 1] >= arm.threshold):
        return model.objective.reward(said[depth - 1], model.objective.cost(ready_ms))
    cut = model.paths(traces).payload[depth]
    payload_bytes = traces.payload_bytes[sample, cut] if traces.payload_bytes.size else 0
    latency_ms = ready_ms + model.encode_ms[cut] + model.link_base_ms + model.link_ms_per_kb * payload_bytes / 1000
    latency_ms += residual_ms + model.cloud_ms[cut] + model.result_ms
    value = said[-1]
    if model.deadline_ms is not None and latency_ms > model.deadline_ms:
        latency_ms, value = max(model.deadline_ms, ready_ms), said[max(depth - 1, 0)]
    cost = model.objective.cost(latency_ms, payload_bytes=payload_bytes, cloud_ms=model.cloud_ms[cut])
    return model.objective.reward(value, cost)


@pytest.mark.parametrize("deadline_ms", DEADLINES)
@pytest.mark.parametrize("payloads", [True, False])
def test_arm_means_are_those_of_a_naive_loop(deadline_ms: float | None, payloads: bool) -> None:
    traces = random_traces(60, 3, seed=5, payloads=payloads)
    model = path_model(deadline_ms=deadline_ms, link_residual_ms=(-4.0, 0.0, 1.0, 30.0))
    assert arm_means(traces, ARMS, model) == pytest.approx([naive_mean(traces, arm, model) for arm in ARMS])


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    deadline_ms=st.one_of(st.none(), st.floats(1.0, 200.0)),
    residuals=st.lists(st.floats(-10.0, 100.0), min_size=1, max_size=5),
)
def test_arm_means_are_those_of_a_naive_loop_at_any_deadline(
    seed: int, deadline_ms: float | None, residuals: list[float]
) -> None:
    traces = random_traces(8, 3, seed)
    model = path_model(deadline_ms=deadline_ms, link_residual_ms=tuple(residuals))
    assert arm_means(traces, ARMS, model) == pytest.approx([naive_mean(traces, arm, model) for arm in ARMS])


def test_two_frames_worked_by_hand() -> None:
    """lambda = .1, o = .3: (.9 - .1 + .8 - .3 - .1) / 2 at exit 1 with threshold .85."""
    traces = Traces(np.array([[0.9, 0.95], [0.4, 0.8]]), np.zeros((2, 2), np.int64), np.zeros(2, np.int64))
    model = PathModel.published(2, per_layer=0.1, offload=0.3)
    means = arm_means(traces, [Arm(1, 0.85), Arm(1, 0.0), Arm(1, 1.0), Arm(2, 0.0)], model)
    assert means == pytest.approx([0.6, 0.55, 0.475, 0.675])
    assert best_fixed_arm(traces, model) == (Arm(2, 0.0), pytest.approx(0.675))


def test_the_best_fixed_arm_is_the_best_of_the_grid() -> None:
    traces, model = random_traces(200, 3), path_model()
    arm, mean = best_fixed_arm(traces, model)
    means = [naive_mean(traces, other, model) for other in default_arms(model)]
    assert mean == pytest.approx(max(means))
    assert default_arms(model).index(arm) == int(np.argmax(means))


def test_the_best_fixed_arm_never_ships_pixels_where_that_is_forbidden() -> None:
    model = path_model(ship="hidden", device_ms=(0.0, 500.0, 1000.0, 1500.0))
    assert best_fixed_arm(random_traces(50, 3), path_model(device_ms=(0.0, 500.0, 1000.0, 1500.0)))[0].split == 0
    assert best_fixed_arm(random_traces(50, 3), model)[0].split == 1
    assert all(arm.split > 0 for arm in default_arms(model))


def regret(arms: list[Arm | None], traces: Traces, model: PathModel, **given: Any) -> tuple[list[float], list[float]]:
    zeros = np.zeros(traces.samples)
    values = {"rewards": zeros, "extra": zeros, **given}
    found = Hindsight(in_order(traces, model)).regret(arms, values["rewards"], values["extra"])
    return found.best_fixed.tolist(), found.oracle.tolist()


def test_the_best_arm_has_no_regret() -> None:
    traces, model = random_traces(50, 3), path_model()
    best, _ = best_fixed_arm(traces, model)
    assert regret([best] * 50, traces, model)[0] == pytest.approx([0.0] * 50)


def test_regret_grows_by_the_gap_of_the_arm_that_was_played() -> None:
    traces, model = random_traces(4, 3), path_model()
    best, mean = best_fixed_arm(traces, model)
    gap = mean - naive_mean(traces, Arm(2, 0.6), model)
    assert gap > 0.0
    found, _ = regret([best, Arm(2, 0.6), best, Arm(2, 0.6)], traces, model)
    assert found == pytest.approx([0.0, gap, gap, 2 * gap])


def test_heads_beyond_the_arms_own_are_regretted() -> None:
    traces, model = random_traces(3, 3), path_model()
    best, _ = best_fixed_arm(traces, model)
    assert regret([best] * 3, traces, model, extra=np.array([0.0, 0.02, 0.01]))[0] == pytest.approx([0.0, 0.02, 0.03])


def test_a_policy_without_arms_is_charged_what_it_earned() -> None:
    traces, model = random_traces(3, 3), path_model()
    rewards = best_fixed_arm(traces, model)[1] + np.array([0.1, -0.3, -0.2])
    found, _ = regret([None] * 3, traces, model, rewards=rewards, extra=np.full(3, 9.0))
    assert found == pytest.approx([-0.1, 0.2, 0.4])


def test_the_oracle_takes_the_best_path_of_every_frame() -> None:
    traces, model = random_traces(40, 3, seed=2), path_model()
    ways = [Arm(0, 1.0), *(Arm(k, alpha) for k in (1, 2) for alpha in (0.0, 1.0)), Arm(3, 0.0)]
    confidence = np.minimum(traces.confidence, 0.999)  # a threshold of 1 then always ships
    traces = Traces(confidence, traces.prediction, traces.labels, payload_bytes=traces.payload_bytes)
    by_hand = [
        max(np.mean([naive_reward(traces, n, arm, model, r) for r in model.link_residual_ms]) for arm in ways)
        for n in range(40)
    ]
    assert RewardTable(traces, model).oracle() == pytest.approx(by_hand)


def test_oracle_regret_is_what_the_oracle_earns_more() -> None:
    traces, model = random_traces(10, 3), path_model()
    rewards = np.linspace(0.0, 0.1, 10)
    _, found = regret([None] * 10, traces, model, rewards=rewards)
    assert found == pytest.approx(np.cumsum(RewardTable(traces, model).oracle() - rewards).tolist())


def test_no_fixed_arm_earns_more_than_the_oracle() -> None:
    traces, model = random_traces(100, 3), path_model(deadline_ms=60.0)
    table = RewardTable(traces, model)
    for arm in default_arms(model):
        assert (table.of(arm) <= table.oracle() + 1e-12).all()
