from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bandits.loss import LossTable
from bandits.path_model import PathModel
from bandits.policy import Answer, Costs, Ship
from bandits.published.sample_oracle import SampleOracle
from bandits.replay import replay
from split_core.errors import PolicyFileError
from tests.bandits.frames import context, path_model, play, random_traces, readings_of

COSTS = Costs.published(3, per_layer=0.05, offload=0.15)


def test_its_loss_is_the_lowest_of_every_frame() -> None:
    traces, model = random_traces(300, 3, seed=2, payloads=False), PathModel.published(3, per_layer=0.05, offload=0.15)
    table = LossTable(traces, model)
    run = replay(SampleOracle(table.paths), traces, model, np.random.default_rng(0))
    assert table.run_losses(run).tolist() == pytest.approx(table.oracle().tolist())


def test_with_measured_costs_too() -> None:
    model, traces = path_model(link_residual_ms=(0.0,)), random_traces(200, 3, seed=3)
    table = LossTable(traces, model)
    run = replay(SampleOracle(table.paths), traces, model, np.random.default_rng(0))
    assert table.run_losses(run).tolist() == pytest.approx(table.oracle().tolist())


def test_it_keeps_to_what_the_context_allows() -> None:
    traces = random_traces(50, 3, seed=5, payloads=False)
    table = LossTable(traces, PathModel.published(3, per_layer=0.05, offload=0.0))
    oracle, outage = SampleOracle(table.paths), context(COSTS, splits=(0, 2), cloud=False)
    for row in traces.confidence.tolist()[:25]:
        assert play(oracle, outage, readings_of(row))[2] == Answer(2)
    given = replace(outage, cloud=True, splits=(0,))
    assert play(oracle, given, readings_of([0.5] * 3))[2] == Ship(0)
    assert play(oracle, replace(given, cloud=False), readings_of([0.5] * 3))[2] == Answer(1)


def test_it_goes_on_where_it_was() -> None:
    traces = random_traces(20, 3, seed=5, payloads=False)
    table = LossTable(traces, PathModel.published(3, per_layer=0.05, offload=0.1))
    kept, restored = SampleOracle(table.paths), SampleOracle(table.paths)
    for _ in range(7):
        kept.begin(context(COSTS))
    restored.restore(kept.state())
    for _ in range(13):
        one, other = kept.begin(context(COSTS)), restored.begin(context(COSTS))
        assert (one.heads, one.arm_index) == (other.heads, other.arm_index)
    with pytest.raises(PolicyFileError):
        restored.restore({"policy": "grid"})
