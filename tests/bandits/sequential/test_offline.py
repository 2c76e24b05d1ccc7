from __future__ import annotations

import pytest

from bandits.compare import Setting, compare, compare_streams
from bandits.loss import best_fixed_arm_by_loss
from bandits.sequential.offline import SequentialOffline
from split_core.errors import PolicyFileError
from tests.bandits.sequential.worlds import context_of, fresh, losses, model_of, network, rows_of

GOOD = (1.5, 2.5, 3.5, 5.0)


@pytest.mark.parametrize("offload", [0.3, 0.8, 2.0])
def test_no_fixed_arm_is_better_than_the_offline_fit(offload: float) -> None:
    traces, model = network(GOOD), model_of(4, whole=0.3, offload=offload)
    fitted = SequentialOffline(traces, model)
    lost = losses(fitted, context_of(traces, model), rows_of(traces), range(traces.samples))
    assert lost.mean() <= 1.001 * best_fixed_arm_by_loss(traces, model)[1]


def test_the_offline_fit_learns_nothing_more() -> None:
    traces, model = network(GOOD, frames=1000), model_of(4, whole=0.3, offload=0.8)
    fitted, given, rows = SequentialOffline(traces, model), context_of(traces, model), rows_of(traces)
    assert (losses(fitted, given, rows, range(1000)) == losses(fitted, given, rows, range(1000))).all()


def test_the_offline_fit_is_a_ceiling_that_replay_prints_under_its_name() -> None:
    traces, model = network(GOOD, frames=1500), model_of(4, whole=0.3, offload=1.0)
    found = compare(traces, model, {"sequential": {}, "sequential_offline": {}}, [0])
    online, fitted = (row["mean_loss"] for row in found.rows)
    assert fitted < online


@pytest.mark.parametrize("error_costs", [10.0, [1.0, 20.0]], ids=["all", "by class"])
def test_the_offline_fit_is_made_for_the_error_costs_that_were_asked_for(error_costs: float | list[float]) -> None:
    """Dearer mistakes are made less often."""
    traces, model = network(GOOD, classes=2, frames=1500), model_of(4, whole=0.3, offload=1.0)
    agreement = []
    for costs in (1.0, error_costs):
        setting = Setting((traces,), model, {"sequential_offline": {}}, error_costs=costs)
        agreement.append(compare_streams(setting, [0]).rows[0]["agreement"])
    assert 1.0 - agreement[1] < 0.7 * (1.0 - agreement[0])


def test_the_state_of_a_policy_that_learned_is_no_offline_fit() -> None:
    traces, model = network(GOOD, frames=100), model_of(4, whole=0.3, offload=0.8)
    with pytest.raises(PolicyFileError):
        SequentialOffline(traces, model).restore(fresh(4).state())
