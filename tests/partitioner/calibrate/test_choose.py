from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from partitioner.calibrate.choose import choose
from partitioner.calibrate.classes import FEWEST, per_class
from partitioner.calibrate.exit_rule import ExitRule, shared_thresholds
from partitioner.calibrate.targets import Target, promises, reached
from split_core.errors import ConfigError, DataError
from split_core.traces import Traces

DEVICE_MS = (1.0, 2.0, 4.0)


def drawn(samples: int, *, seed: int, best: float = 0.99) -> Traces:
    """Three exits, the deeper the better; confidence says how often they are right; 4 classes."""
    rng = np.random.default_rng(seed)
    ease = rng.random((samples, 1))
    confidence = np.clip(ease * np.array([0.6, 0.8, 1.0]) + np.array([0.4, 0.3, 0.3]), 0.3, best)
    labels = rng.integers(0, 4, samples)
    luck = rng.random((samples, 1))  # shared, so that exits mostly agree
    prediction = np.where(luck < confidence, labels[:, None], (labels[:, None] + 1) % 4)
    return Traces(confidence, prediction, labels)


GRID = shared_thresholds(drawn(2000, seed=1).confidence)


def chosen(traces: Traces, **asked: Any) -> ExitRule:
    return choose(Target(**asked), GRID, traces)


@pytest.mark.parametrize("method", ["naive", "crc", "ltt", "wsr"])
@pytest.mark.parametrize("asked", [{"risk": 0.05}, {"max_drop": 0.05}, {"risk": 0.29, "loss": "mistakes"}])
def test_risks_are_kept_on_other_samples(method: str, asked: dict[str, Any]) -> None:
    target = Target(**asked, method=method)
    rule = choose(target, GRID, drawn(3000, seed=2))
    found = reached(target, rule, drawn(50_000, seed=3))
    (kind,) = {"risk", "max_drop"} & set(asked)
    slack = 0.01 if method in ("naive", "crc") else 0.0
    assert 0.0 < found[kind] <= asked[kind] + slack
    assert rule.thresholds[0] is not None


def test_limits_take_the_strictest_threshold_that_keeps_them() -> None:
    traces = drawn(2000, seed=4)
    for asked in ({"max_offload": 0.3}, {"budget_ms": 2.0, "device_ms": DEVICE_MS}):
        target = Target(**asked)  # type: ignore[arg-type]
        rule = choose(target, GRID, traces)
        (kind,) = reached(target, rule, traces)
        assert reached(target, rule, traces)[kind] <= getattr(target, kind)
        place = int(np.flatnonzero(rule.thresholds[0] == GRID)[0])
        stricter = GRID[place - 1] if place > 1 else None
        assert reached(target, ExitRule((stricter, stricter)), traces)[kind] > getattr(target, kind)


def test_limits_that_hold_anyway_change_nothing() -> None:
    assert chosen(drawn(500, seed=5), max_offload=1.0).thresholds == (None, None)


def test_quality_that_breaks_a_limit_is_refused() -> None:
    traces = drawn(3000, seed=6)
    assert chosen(traces, risk=0.03, max_offload=0.9).thresholds == chosen(traces, risk=0.03).thresholds
    with pytest.raises(DataError, match=r"--max-offload 0.01: no early exit answers [\d.]+% of the frames"):
        chosen(traces, risk=0.03, max_offload=0.01)
    with pytest.raises(DataError, match=r"--budget-ms 0\.5: a frame takes 1 ms"):
        chosen(traces, budget_ms=0.5, device_ms=DEVICE_MS)


def test_too_few_samples_are_told_how_many_would_do() -> None:
    with pytest.raises(DataError, match=r"--risk 0.05: 20 samples .* by 'ltt'; about (\d+) samples would") as caught:
        chosen(drawn(20, seed=7), risk=0.05, method="ltt")
    about = int(str(caught.value).rsplit("about ", 1)[1].split()[0])
    assert chosen(drawn(about // 2, seed=8), risk=0.05, method="ltt").thresholds[0] is not None
    with pytest.raises(DataError, match="first seen among 1000: give at least 2000"):
        chosen(drawn(200, seed=7), accuracy=0.999)


def test_what_no_data_can_show_is_told_so() -> None:
    with pytest.raises(DataError, match=r"the full network 0\.\d+; \d+ samples would not show it: ask for less"):
        chosen(drawn(2000, seed=9), risk=0.05, loss="mistakes")
    with pytest.raises(
        DataError, match=r"no exit reaches it.*the full network in .* of all; more samples would not help"
    ):
        chosen(drawn(4000, seed=9, best=0.9), accuracy=0.98)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"accuracy": 0.9, "risk": 0.1}, "--accuracy and --risk: ask for one of them"),
        ({"risk": 1.5}, "--risk: expected a number between 0 and 1, got 1.5"),
        ({"max_drop": 0.0}, "--max-drop: expected a number between 0 and 1"),
        ({"risk": 0.1, "method": "wsx"}, "no method named 'wsx'; did you mean 'wsr'"),
        ({"accuracy": 0.9, "method": "wsr"}, "no method named 'wsr'.*there are: pcee, pcee_ws"),
        ({"risk": 0.1, "loss": "brir"}, "did you mean 'brier'"),
        ({"budget_ms": 3.0}, "--budget-ms needs the times of the device; give --profile"),
        ({"max_drop": 0.1, "per_class": True}, "--per-class goes with --accuracy"),
    ],
)
def test_what_makes_no_sense_together_is_refused(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Target(**asked)


def test_promises_say_what_was_asked_and_reached() -> None:
    target = Target(risk=0.1, budget_ms=3.0, device_ms=DEVICE_MS)
    risk, budget = promises(target, 500, {"risk": 0.0712345678, "budget_ms": 2.5}, 250)
    assert (risk.kind, risk.asked, risk.method, risk.loss, risk.confidence) == ("risk", 0.1, "ltt", "consistency", 0.9)
    assert (risk.samples, risk.reached, risk.held_out) == (500, 0.071235, 250)
    assert (budget.kind, budget.method, budget.confidence, budget.reached) == ("budget_ms", "mean", None, 2.5)
    (drop,) = promises(Target(max_drop=0.1), 500, {}, 0)
    assert (drop.method, drop.loss) == ("wsr", "drop")
    (untested,) = promises(Target(accuracy=0.9), 20, {}, 0)
    assert (untested.reached, untested.method) == (None, "pcee_ws")


def test_a_class_that_errs_more_gets_a_stricter_threshold_and_a_rare_one_keeps_the_exits() -> None:
    rng = np.random.default_rng(10)
    said = rng.choice(3, 6000, p=[0.495, 0.495, 0.01])
    confidence = rng.uniform(0.5, 1.0, 6000)
    chance = np.where(said == 0, 1.0, confidence)  # class 0 is always right, class 1 as often as it says
    good = rng.random(6000) < chance
    traces = Traces(np.stack([confidence, np.ones(6000)], 1), np.stack([said, said], 1), said)
    rule = per_class(ExitRule((0.7,)), traces, np.stack([good, good], 1), target=0.9, risk=0.1)
    (own,) = rule.by_class
    assert (said == 2).sum() >= FEWEST or 2 not in own
    assert own[0] == 0.0
    assert own[1] is not None
    assert 0.78 < own[1] < 0.9  # the mean of [t, 1] is 0.9 at t = 0.8
    assert rule.params()["by_class"]["1"]["1"] == own[1]
    exits = rule.exits(traces)
    assert (exits[said == 0] == 0).all()
    assert (exits[(said == 1) & (confidence < own[1])] == 1).all()


def test_a_class_that_is_never_good_never_leaves_early() -> None:
    said = np.zeros(200, np.int64)
    traces = Traces(np.full((200, 2), 0.9), np.stack([said, said], 1), said)
    rule = per_class(ExitRule((0.5,)), traces, np.zeros((200, 2), np.bool_), target=0.9, risk=0.1)
    assert rule.by_class == ({0: None},)
    assert (rule.exits(traces) == 1).all()
