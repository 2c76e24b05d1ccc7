from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bandits.build import make_policy
from bandits.loss import LossTable, best_fixed_arm_by_loss
from bandits.path_model import PathModel
from bandits.policy import Arm
from bandits.regret import default_arms
from bandits.replay import replay
from bandits.runs import Run
from split_core.errors import TraceError
from split_core.traces import Traces
from tests.bandits.frames import path_model, random_traces

TRACES = random_traces(300, 3, seed=3)
ERROR_COSTS = (0.5, 4.0, 1.0, 2.0)


def fixed_run(arm: Arm, model: PathModel, traces: Traces = TRACES) -> Run:
    params = {"split": arm.split, "threshold": arm.threshold}
    rng = np.random.default_rng(0)
    policy = make_policy("fixed", exits=model.exits, rng=rng, objective=model.objective, params=params)
    return replay(policy, traces, model, rng)


def test_two_frames_worked_by_hand() -> None:
    """lambda = .1, o = .3, threshold .85 at exit 1: (.1 + a mistake of 2) and (.1 + .3)."""
    traces = Traces(np.array([[0.9, 0.95], [0.4, 0.8]]), np.array([[1, 0], [1, 0]]), np.zeros(2, np.int64))
    model = PathModel.published(2, per_layer=0.1, offload=0.3)
    arms = [Arm(1, 0.85), Arm(1, 0.0), Arm(1, 1.0), Arm(2, 0.0)]
    assert LossTable(traces, model, 2.0).arm_losses(arms) == pytest.approx([1.25, 2.1, 0.4, 0.2])
    assert best_fixed_arm_by_loss(traces, model, 2.0) == (Arm(2, 0.0), pytest.approx(0.2))


@pytest.mark.parametrize("deadline_ms", [None, 55.0])
@pytest.mark.parametrize("error_costs", [1.0, ERROR_COSTS])
def test_a_fixed_arm_replayed_loses_what_the_table_says(
    deadline_ms: float | None, error_costs: float | tuple[float, ...]
) -> None:
    model = path_model(link_residual_ms=(2.0,), deadline_ms=deadline_ms)
    table, arms = LossTable(TRACES, model, error_costs), default_arms(model)
    found = [table.run_losses(fixed_run(arm, model)).mean() for arm in arms]
    assert table.arm_losses(arms) == pytest.approx(found)
    assert table.arm_losses(arms) == pytest.approx([table.paths.of(arm).mean() for arm in arms])


def test_an_answer_like_the_full_networks_costs_its_path_only() -> None:
    model = path_model()
    assert LossTable(TRACES, model).arm_losses([Arm(3, 0.0)])[0] == pytest.approx(0.01 * 30.5)
    dear = LossTable(TRACES, model, 1000.0).arm_losses([Arm(3, 0.0)])[0]
    assert dear == pytest.approx(0.01 * 30.5)


def test_unequal_errors_are_charged_by_what_the_full_network_says() -> None:
    model = path_model(objective=replace(path_model().objective, mu=0.0))
    wrong = TRACES.prediction[:, 0] != TRACES.prediction[:, -1]
    expected = np.asarray(ERROR_COSTS)[TRACES.prediction[:, -1]][wrong].sum() / TRACES.samples
    assert LossTable(TRACES, model, ERROR_COSTS).arm_losses([Arm(1, 0.0)])[0] == pytest.approx(expected)


def test_against_labels_the_full_networks_own_mistakes_are_charged_too() -> None:
    model = path_model(objective=replace(path_model().objective, mu=0.0))
    table = LossTable(TRACES, model, against="labels")
    assert table.arm_losses([Arm(3, 0.0)])[0] == pytest.approx(1.0 - TRACES.correct[:, -1].mean())
    run = fixed_run(Arm(2, 0.7), model)
    assert table.run_losses(run).mean() == pytest.approx(1.0 - run.correct.mean())


def test_the_best_fixed_arm_may_be_looked_for_among_any_arms() -> None:
    model = path_model()
    fine = [Arm(1, float(alpha)) for alpha in np.linspace(0.0, 1.0, 2001)]
    arm, loss = best_fixed_arm_by_loss(TRACES, model, arms=fine)
    assert arm in fine
    assert loss <= LossTable(TRACES, model).arm_losses([a for a in default_arms(model) if a.split == 1]).min()


def test_no_path_loses_less_than_the_oracles() -> None:
    table, model = LossTable(TRACES, path_model()), path_model()
    oracle = table.oracle()
    assert all((table.paths.of(arm) >= oracle - 1e-12).all() for arm in default_arms(model))


def test_an_outage_makes_an_arm_that_ships_run_to_the_end_and_read_all() -> None:
    model = path_model()
    table = LossTable(TRACES, model, cloud=False)
    arms = [Arm(1, 0.9), Arm(0, 1.0), Arm(1, 0.0)]
    all_read = 0.01 * (0.5 + 30.0 + 1.0 + 1.0)
    local = LossTable(TRACES, model).arm_losses([Arm(1, 0.0)])[0]
    assert table.arm_losses(arms) == pytest.approx([all_read, all_read, local])


def test_where_nothing_may_be_shipped_that_is_infinitely_dear() -> None:
    hidden = path_model(ship="hidden", objective=replace(path_model().objective, mu=0.0))
    assert LossTable(TRACES, hidden).arm_losses([Arm(0, 1.0)])[0] == np.inf


def test_classes_without_a_cost_and_labels_that_are_not_there_are_refused() -> None:
    with pytest.raises(TraceError, match=r"classes 0\.\.1, the trace has class 3"):
        LossTable(TRACES, path_model(), (1.0, 2.0))
    unlabelled = replace(TRACES, labels=np.full(300, -1))
    with pytest.raises(TraceError, match="needs a label for every frame"):
        LossTable(unlabelled, path_model(), against="labels")
