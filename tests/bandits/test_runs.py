from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bandits.build import make_policy
from bandits.hindsight import Hindsight
from bandits.path_model import PathModel
from bandits.policy import Arm
from bandits.regret import best_fixed_arm
from bandits.replay import replay
from bandits.runs import FrameResult, Run, live_run, run_of, settled_frame, summarise
from bandits.stream import in_order
from split_core.traces import Traces
from tests.bandits.frames import path_model, random_traces
from tests.bandits.records import record, walked

TRACES = random_traces(100, 3)
MODEL = path_model(link_residual_ms=(0.0,))
KEYS = [
    "name", "live", "frames", "accuracy", "agreement", "latency_ms", "kb_per_frame", "exit_share", "offload_share",
    "mean_cost", "regret", "oracle_regret", "mean_loss", "mean_loss_labels", "loss_ratio", "settled_frame", "arm_share",
    "deadline_misses", "degraded",
]  # fmt: skip


def replayed(arm: Arm, model: PathModel = MODEL, traces: Traces = TRACES) -> Run:
    policy = make_policy(
        "fixed", exits=3, rng=np.random.default_rng(0), objective=model.objective,
        params={"split": arm.split, "threshold": arm.threshold},
    )  # fmt: skip
    return replay(policy, traces, model, np.random.default_rng(0), name="fixed")


def lived(arm: Arm, model: PathModel = MODEL, traces: Traces = TRACES) -> Run:
    records = [walked(model, traces, sample, arm) for sample in range(traces.samples)]
    return live_run("fixed", records, np.arange(traces.samples), traces, model)


def result(**known: Any) -> FrameResult:
    values: dict[str, Any] = {
        "exit": 1, "where": "edge", "shipped": -1, "label": 0, "confidence": 0.5, "latency_ms": 10.0, "payload_bytes": 0.0,
        "cost": 10.0, "degraded": False, "arm": Arm(1, 0.0), "arm_index": 1, "heads": (1,),
    }  # fmt: skip
    return FrameResult(**{**values, **known})


@pytest.mark.parametrize("ship", ["any", "hidden"])
@pytest.mark.parametrize("arm", [Arm(1, 0.6), Arm(2, 0.7), Arm(3, 0.0)])
def test_the_same_frames_live_and_replayed_make_the_same_row(arm: Arm, ship: str) -> None:
    model = path_model(link_residual_ms=(0.0,), ship=ship)
    live, again = summarise(lived(arm, model)), summarise(replayed(arm, model))
    assert (live.pop("live"), again.pop("live")) == (True, False)
    assert list(live) == list(again)
    for key, value in live.items():
        assert value == pytest.approx(again[key]), key


def test_a_row_has_the_keys_of_the_result_file_and_only_json_in_it() -> None:
    row = summarise(replayed(Arm(1, 0.6)))
    assert list(row) == KEYS
    assert list(row["latency_ms"]) == ["mean", "p50", "p95", "p99"]
    assert json.loads(json.dumps(row, allow_nan=False)) == row


def test_a_row_counts_what_happened() -> None:
    traces = Traces(np.full((4, 2), 0.5), np.array([[0, 1]] * 4), np.array([0, 0, 1, -1]),
                    payload_bytes=np.full((4, 2), 500))  # fmt: skip
    model = path_model(2, deadline_ms=25.0)
    results = [
        result(latency_ms=10.0),
        result(where="cloud", exit=2, label=1, shipped=0, payload_bytes=500.0, latency_ms=20.0, cost=22.0),
        result(shipped=0, payload_bytes=500.0, latency_ms=30.0, cost=30.0, degraded=True),
        result(exit=2, label=1, latency_ms=20.0, cost=18.0),
    ]
    row = summarise(run_of("mine", results, Hindsight(in_order(traces, model)), live=True))
    # Labels 0, 0, 1 against answers 0, 1, 0; the fourth is unlabelled.  The full model always says 1.
    assert (row["accuracy"], row["agreement"]) == (pytest.approx(1 / 3), 0.5)
    assert row["exit_share"] == [0.5, 0.5]
    assert (row["offload_share"], row["kb_per_frame"]) == (0.5, 0.25)
    assert (row["mean_cost"], row["latency_ms"]["mean"], row["latency_ms"]["p50"]) == (20.0, 20.0, 20.0)
    assert (row["deadline_misses"], row["degraded"], row["frames"]) == (1, 1, 4)


def test_without_labels_there_is_no_accuracy() -> None:
    unlabelled = Traces(TRACES.confidence, TRACES.prediction, np.full(100, -1), payload_bytes=TRACES.payload_bytes)
    assert summarise(replayed(Arm(1, 0.6), traces=unlabelled))["accuracy"] is None


def test_without_a_deadline_nothing_is_late() -> None:
    assert summarise(replayed(Arm(3, 0.0)))["deadline_misses"] == 0
    late = path_model(deadline_ms=29.0)
    assert summarise(replayed(Arm(3, 0.0), late))["deadline_misses"] == 100


def test_the_best_fixed_arm_has_no_regret_and_others_have() -> None:
    best, mean = best_fixed_arm(TRACES, MODEL)
    run = replayed(best)
    assert run.regret.best_fixed == pytest.approx(np.zeros(100), abs=1e-9)
    assert run.reward.mean() == pytest.approx(mean)
    assert summarise(replayed(Arm(2, 1.0)))["regret"] > 0.0


def test_reading_more_exits_than_the_arms_own_is_regretted() -> None:
    policies = {
        name: make_policy(name, exits=3, rng=np.random.default_rng(0), objective=MODEL.objective, params={"c": 0.0})
        for name in ("splitee", "splitee_s")
    }
    runs = {name: replay(policy, TRACES, MODEL, np.random.default_rng(0)) for name, policy in policies.items()}
    deeper = (runs["splitee_s"].arm >= 1).sum()
    assert deeper > 0
    steps = np.diff(runs["splitee_s"].regret.best_fixed, prepend=0.0)
    means = {arm: steps[runs["splitee_s"].arm == arm].mean() for arm in set(runs["splitee_s"].arm.tolist())}
    plain = np.diff(runs["splitee"].regret.best_fixed, prepend=0.0)
    for arm, step in means.items():
        # One head of 1 ms more for every exit on the way, at mu = .01.
        assert step == pytest.approx(plain[runs["splitee"].arm == arm].mean() + 0.01 * arm)


def test_a_record_without_a_cost_is_priced_by_the_objective() -> None:
    priced = walked(MODEL, TRACES, 0, Arm(1, 1.0))
    unpriced = live_run("x", [replace(priced, cost=None)], np.array([0]), TRACES, MODEL)
    assert unpriced.cost[0] == pytest.approx(priced.cost)


def test_a_live_run_is_compared_with_the_rows_it_showed() -> None:
    rows = np.array([7, 3, 7])
    records = [walked(MODEL, TRACES, int(row), Arm(3, 0.0)) for row in rows]
    run = live_run("x", records, rows, TRACES, MODEL)
    np.testing.assert_array_equal(run.correct, TRACES.correct[rows, 2])
    assert run.agrees.all()


def test_a_policy_without_arms_is_regretted_by_what_it_earned() -> None:
    records = [record(seq=row, exit=1, confidence=0.5, cost=10.0, label=0) for row in range(20)]
    run = live_run("sequence", records, np.arange(20), TRACES, MODEL)
    best = best_fixed_arm(TRACES.rows(np.arange(20)), MODEL)[1]
    assert run.regret.best_fixed[-1] == pytest.approx(20 * (best - (0.5 - 0.01 * 10.0)))
    assert (run.arm == -1).all()


def test_settled_is_the_frame_from_which_on_nearly_all_plays_are_of_one_arm() -> None:
    good, bad = Arm(1, 0.8), Arm(2, 0.8)
    assert settled_frame([bad] * 10 + [good] * 90) == 7  # 90 of the 94 plays from there on are good
    assert settled_frame([bad, good] * 20 + [good] * 60) == 34  # 63 of 66: the last three bad ones are let pass
    assert settled_frame([good] * 100) == 1


def test_what_moves_to_the_end_has_not_settled_and_what_has_no_arms_cannot() -> None:
    good, bad = Arm(1, 0.8), Arm(2, 0.8)
    assert settled_frame([bad] * 92 + [good] * 8) is None
    assert settled_frame([good, bad] * 50) is None
    assert settled_frame([None] * 100) is None


def test_plays_are_counted_per_arm_and_most_first() -> None:
    arms = [Arm(1, 0.8), Arm(2, 0.8), Arm(2, 0.8), None]
    traces = TRACES.rows(np.arange(4))
    run = run_of("x", [result(arm=arm) for arm in arms], Hindsight(in_order(traces, MODEL)), live=False)
    assert run.plays == ((Arm(2, 0.8), 2), (Arm(1, 0.8), 1))
    assert summarise(run)["arm_share"] == {"2@0.8": 0.5, "1@0.8": 0.25}
