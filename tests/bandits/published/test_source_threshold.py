from __future__ import annotations

import numpy as np
import pytest

from bandits.build import make_policy
from bandits.loss import LossTable
from bandits.path_model import PathModel
from bandits.policy import Arm
from bandits.published.source_threshold import STEPS, tuned
from bandits.replay import replay
from split_core.errors import ConfigError, TraceError
from split_core.objective import Objective
from split_core.traces import Traces
from tests.bandits.frames import random_traces
from tests.bandits.published_traces import cifar

MODEL = PathModel.published(3, per_layer=0.05, offload=0.15)


def test_the_threshold_is_the_one_between_right_and_wrong_by_hand() -> None:
    """Asking costs .3: worth it where the first exit is wrong, and not where it is right."""
    source = Traces(
        np.array([[0.3, 1.0], [0.55, 1.0], [0.6, 1.0], [0.9, 1.0]]),
        np.array([[1, 0], [1, 0], [0, 0], [0, 0]]),
        np.zeros(4, np.int64),
    )
    found = tuned(source, PathModel.published(2, per_layer=0.0, offload=0.3))
    assert found == {"split": 1, "threshold": 0.56}


def test_no_threshold_of_any_split_does_better_on_the_source() -> None:
    source = random_traces(600, 3, seed=4, payloads=False)
    found = tuned(source, MODEL)
    table = LossTable(source, MODEL, against="labels")
    every = table.arm_losses([Arm(split, step) for split in (1, 2) for step in STEPS])
    assert table.arm_losses([Arm(found["split"], found["threshold"])])[0] == every.min()
    assert tuned(source, MODEL, splits=[2])["split"] == 2


def test_a_dearer_mistake_asks_for_more_confidence() -> None:
    source = random_traces(600, 3, seed=4, payloads=False)
    cheap, dear = (tuned(source, MODEL, splits=[1], error_costs=cost)["threshold"] for cost in (0.3, 3.0))
    assert cheap < dear


def test_the_policy_plays_what_was_tuned() -> None:
    source, stream = random_traces(400, 3, seed=1, payloads=False), random_traces(400, 3, seed=2, payloads=False)
    found = tuned(source, MODEL)
    policy = make_policy(
        "source_threshold", exits=3, rng=np.random.default_rng(0), objective=Objective(mu=1.0), params=found
    )
    run = replay(policy, stream, MODEL, np.random.default_rng(0))
    sure = stream.confidence[:, found["split"] - 1] >= found["threshold"]
    assert (run.cloud == ~sure).all()


def test_without_labels_or_a_split_there_is_nothing_to_tune() -> None:
    source = random_traces(50, 3, payloads=False)
    with pytest.raises(TraceError, match="label"):
        tuned(Traces(source.confidence, source.prediction, np.full(50, -1)), MODEL)
    with pytest.raises(ConfigError, match="from 1 to 2"):
        tuned(source, MODEL, splits=[0, 3])


@pytest.mark.parametrize("name", ["mab", "timed"])
def test_on_published_logs_it_is_within_two_per_cent_of_the_best_in_hindsight(name: str) -> None:
    traces, model = cifar(name), PathModel.published(2, per_layer=0.0, offload=0.1)
    rows = np.random.default_rng(0).permutation(traces.samples)
    found = tuned(traces.rows(rows[:2000]), model)
    table = LossTable(traces.rows(rows[2000:]), model, against="labels")
    best = table.arm_losses([Arm(1, step) for step in STEPS]).min()
    assert table.arm_losses([Arm(1, found["threshold"])])[0] < 1.02 * best
