"""Claims of the papers on their authors' logs that can be checked as ratios, with what is measured beside.

`pytest -s tests/bandits -k "test_a or test_b or test_c or test_d or hi_lcb"` prints one line per claim.  A1 to A3 are in
published/test_uee_ucb.py; B1, B2, B4, B5 and C1 in test_published.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from bandits.build import make_policy
from bandits.loss import LossTable
from bandits.path_model import PathModel
from bandits.policy import Answer, Arm, Costs, Ship
from bandits.replay import replay
from bandits.ucbee import THRESHOLDS
from split_core.objective import Objective
from split_core.tensors import FloatArray
from split_core.traces import Traces
from tests.bandits.frames import context, observed, random_traces
from tests.bandits.published_traces import BERT_EXITS, bert, cifar, columns, stream, told
from tests.bandits.readings import reading

FRAMES = 10_000
UCBEE_SETTINGS = [(name, offload) for name in ("mab", "timed") for offload in (0.1, 0.2)]
ISPLITEE_COSTS = (0.0, 0.3, 0.6, 0.9, 1.2, 1.5, 1.8, 1.9)
ISPLITEE_OFFLOAD = 0.5


@dataclass(frozen=True)
class Played:
    """What a policy did with every frame of a two-exit log."""

    traces: Traces
    rows: np.ndarray
    arm: np.ndarray
    shipped: np.ndarray

    def accuracy(self) -> float:
        """Against the labels; the cloud's answer where it was shipped."""
        right = self.traces.correct[self.rows]
        return float(np.where(self.shipped, right[:, 1], right[:, 0]).mean())


def play(policy: str, name: str, offload: float, *, frames: int = FRAMES, seed: int = 0, **params: Any) -> Played:
    """`policy` over the log `name` in one of its orders."""
    traces = cifar(name)
    subject = make_policy(policy, exits=2, rng=np.random.default_rng(seed), objective=Objective(mu=1.0), params=params)
    given, rows = context(Costs.published(2, per_layer=0.0, offload=offload)), stream(traces, frames, seed)
    confidence, prediction = traces.confidence[rows].tolist(), traces.prediction[rows].tolist()
    arm, shipped = np.zeros(frames, np.int64), np.zeros(frames, bool)
    for frame, (sure, said) in enumerate(zip(confidence, prediction, strict=True)):
        seen = observed(subject, given, [reading(1, said[0], sure[0]), reading(2, said[1], sure[1])])
        subject.learn(seen)
        arm[frame], shipped[frame] = seen.plan.arm_index, isinstance(seen.action, Ship)
        assert shipped[frame] or isinstance(seen.action, Answer)
    return Played(traces, rows, arm, shipped)


def trivial_reduction(offload: float) -> float:
    """Cost saved by running one layer and shipping everything."""
    return 1.0 - (0.1 + offload) / (0.1 * BERT_EXITS)


@pytest.mark.slow
def test_b3_splitee_saves_less_than_shipping_everything_in_most_settings() -> None:
    gains = {
        (alpha, offload): 100.0 * (splitee_reduction(alpha, offload) - trivial_reduction(offload))
        for alpha in (0.7, 0.85, 0.95)
        for offload in (0.1, 0.3, 0.5)
    }
    below = sum(gain < 0.0 for gain in gains.values())
    told(
        "B3 SplitEE over offload-all@1", "-1.0..+16 pp, <0 in 6 of 9",
        f"{min(gains.values()):+.1f}..{max(gains.values()):+.1f} pp, <0 in {below} of 9",
    )  # fmt: skip
    assert below == 6
    assert min(gains.values()) > -1.5
    assert 15.0 < max(gains.values()) < 17.0


def splitee_reduction(alpha: float, offload: float) -> float:
    """As the authors report cost: one head is read, not all."""
    model = PathModel.published(BERT_EXITS, per_layer=0.1, offload=offload)
    policy = make_policy(
        "splitee",
        exits=BERT_EXITS,
        rng=np.random.default_rng(0),
        objective=model.objective,
        params={"threshold": alpha},
    )
    traces = bert()
    run = replay(policy, traces.rows(stream(traces, 20_000, 0)), model, np.random.default_rng(0))
    return float(1.0 - (run.cost - 0.02 * run.arm).mean() / (0.1 * BERT_EXITS))


@pytest.mark.parametrize(("name", "offload"), UCBEE_SETTINGS)
def test_c2_the_most_played_threshold_is_next_to_the_best_after_ten_thousand_frames(name: str, offload: float) -> None:
    best = int(threshold_means(cifar(name), offload).argmax())
    most = [int(np.bincount(play("ucbee", name, offload, seed=seed, c=0.1).arm).argmax()) for seed in range(3)]
    found = int(np.median(most))
    told(f"C2 UCBEE most played, {name} o={offload}", f"{THRESHOLDS[best]} +- .1", f"{THRESHOLDS[found]}")
    assert abs(found - best) <= 1


def threshold_means(traces: Traces, offload: float) -> FloatArray:
    """(11,) mean clipped reward of every threshold."""
    gains = np.maximum(traces.confidence[:, 1] - traces.confidence[:, 0], 0.0) - offload
    return np.array([np.where(traces.confidence[:, 0] >= alpha, 0.0, gains).mean() for alpha in THRESHOLDS])


@pytest.mark.parametrize(
    ("side", "to_high", "to_always", "right"), [("none", 0.95, 0.80, 0.8264), ("below", 0.97, 0.82, 0.8279)]
)
def test_c3_ucbee_answers_earlier_than_a_high_threshold_and_as_well(
    side: str, to_high: float, to_always: float, right: float
) -> None:
    """Against fixed .9 and 1.0 on the log's measured times; the paper says 10 to 20 %.

    .8 and .9 earn within .0013 of each other.  As published, paying the played arm only, it spreads over both and lower
    ones, which costs .0016 of accuracy on the whole log (one sample of it has shown none; its standard error is .004);
    with side observations it settles, in some orders of the frames on .9, so that it saves half as much and loses none.
    """
    first, second = columns("cifar10-two-exits-timed", ("cum_inf_time_branch_1", "cum_inf_time_branch_2"))
    sure = cifar("timed").confidence[:, 0]
    fixed = [1000 * float(np.where(sure >= alpha, first, second).mean()) for alpha in (0.9, 1.0)]
    assert fixed == pytest.approx([20.84, 24.91], abs=0.006)
    runs = [play("ucbee", "timed", 0.1, seed=seed, c=0.1, side=side) for seed in range(5)]
    mean_ms = np.mean([1000 * np.where(run.shipped, second[run.rows], first[run.rows]).mean() for run in runs])
    accuracy = float(np.mean([run.accuracy() if side == "below" else surer_accuracy(run) for run in runs]))
    shown = ", ".join(f"{100 * (mean_ms / one - 1):+.1f} %" for one in fixed)
    told(f"C3 UCBEE latency to .9, 1.0, side {side}", "-7.7 %, -22.8 %, .8294", f"{shown}, {accuracy:.4f}")
    assert mean_ms < to_high * fixed[0]
    assert mean_ms < to_always * fixed[1]
    assert accuracy > right


def surer_accuracy(run: Played) -> float:
    """As the authors answer: where neither exit reaches the threshold, with the surer one."""
    confidence, right = run.traces.confidence[run.rows], run.traces.correct[run.rows]
    unsure = confidence[:, 1] < np.array(THRESHOLDS)[run.arm]
    cloud = run.shipped & (~unsure | (confidence[:, 1] >= confidence[:, 0]))
    return float(np.where(cloud, right[:, 1], right[:, 0]).mean())


@pytest.mark.parametrize(("name", "offload"), UCBEE_SETTINGS)
def test_c4_regret_against_the_best_of_every_frame_is_a_straight_line(name: str, offload: float) -> None:
    played = play("ucbee", name, offload, c=0.1)
    confidence = played.traces.confidence[played.rows]
    gain = confidence[:, 1] - confidence[:, 0]
    earned = np.where(played.shipped, np.maximum(gain, 0.0) - offload, 0.0)
    regret = np.cumsum(np.maximum(gain - offload, 0.0) - earned)[500:]
    straight = float(np.corrcoef(regret, np.arange(len(regret)))[0, 1] ** 2)
    told(f"C4 per-sample regret R2, {name} o={offload}", ">= .98", f"{straight:.4f}")
    assert straight >= 0.98


def test_d1_what_isplitee_claims_to_save_is_a_property_of_its_cost_model() -> None:
    """>= 55 % saved at <= 5 % loss: running one block and shipping everything saves 57.9 % and loses nothing."""
    exits = len(ISPLITEE_COSTS) - 1
    model = PathModel.published(exits, per_layer=0.0, offload=ISPLITEE_OFFLOAD).model_copy(
        update={"device_ms": ISPLITEE_COSTS}
    )
    traces = random_traces(500, exits, payloads=False)
    policy = make_policy("offload_all", exits=exits, rng=np.random.default_rng(0), objective=model.objective)
    run = replay(policy, traces, model, np.random.default_rng(0))
    saved, lost = 1.0 - run.cost.mean() / ISPLITEE_COSTS[-1], traces.correct[:, -1].mean() - run.correct.mean()
    told("D1 offload-all@1 under I-SplitEE", "57.9 %, drop 0", f"{100 * saved:.1f} %, drop {lost:g}")
    assert saved == pytest.approx(1.0 - 0.8 / 1.9)
    assert lost == 0.0


def loss_in_the_end(policy: str, name: str, offload: float, frames: int, **params: Any) -> float:
    """Mean loss of the last half over that of the best threshold of the same grid in hindsight."""
    played = play(policy, name, offload, frames=frames, **params)
    half = slice(frames // 2, None)
    traces = played.traces.rows(played.rows[half])
    wrong = traces.prediction[:, 0] != traces.prediction[:, 1]
    loss = np.where(played.shipped[half], offload, wrong).mean()
    table = LossTable(traces, PathModel.published(2, per_layer=0.0, offload=offload))
    arms = [Arm(1, alpha) for alpha in (0.0, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 1.0)]
    return float(loss / table.arm_losses(arms).min())


@pytest.mark.parametrize("name", ["mab", "timed"])
def test_hi_lcb_ends_at_the_best_threshold_and_below_hedge_hi(name: str) -> None:
    """The order is the abstract's claim: O(log T) against O(T^(2/3))."""
    frames, beta = 40_000, 0.3
    found = {policy: loss_in_the_end(policy, name, beta, frames) for policy in ("hi_lcb", "hi_lcb_lite")}
    hedge = loss_in_the_end("hedge_hi", name, beta, frames, horizon=frames)
    shown = ", ".join(f"{loss:.3f}" for loss in (*found.values(), hedge))
    told(f"HI-LCB, -lite < Hedge-HI, {name}", "order only; to best threshold", shown)
    for loss in found.values():
        assert loss < 1.02
        assert loss < hedge - 0.05
