from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from bandits import POLICIES
from bandits.build import make_policy
from bandits.envelope import SHRUNK, Envelope, Pledge
from bandits.guard import Limits
from bandits.loss import LossTable
from bandits.path_model import PathModel
from bandits.policy import Arm, Policy
from bandits.regret import arm_means
from bandits.replay import replay
from bandits.ucbee import THRESHOLDS
from bandits.warm_start import warm_start, waterline
from split_core.errors import PolicyFileError
from split_core.tensors import FloatArray
from split_core.traces import Traces

EXITS = 3
MODEL = PathModel.published(EXITS, per_layer=0.05, offload=0.15)
# Mean confidence of exits 1 to 3.  On UNSURE the network pays, or the cloud; on SURE the first exit is enough; what is
# learned on POOR says that neither is worth anything.
UNSURE, SURE, POOR = (0.55, 0.7, 0.95), (0.9, 0.92, 0.95), (0.6, 0.62, 0.6)
SPLITS = [Arm(split, 0.85) for split in (1, 2, 3)]
SEEDS = (0, 1, 2)

POOLED = (
    "sequential",
    "grid",
    "splitee",
    "splitee_s",
    "ucbee",
    "adaee",
    "ceebert1",
    "ceebert2",
    "a_capeen",
    "hi_lcb",
    "hi_lcb_lite",
)

Make = Callable[[], Policy]


def scene(means: tuple[float, ...], frames: int, seed: int) -> Traces:
    noise = np.random.default_rng(seed).normal(0.0, 0.12, (frames, EXITS))
    zeros = np.zeros((frames, EXITS), np.int64)
    return Traces(np.clip(np.array(means) + noise, 0.0, 1.0), zeros, zeros[:, 0])


def maker(name: str, **params: Any) -> Make:
    return lambda: make_policy(
        name, exits=EXITS, rng=np.random.default_rng(0), objective=MODEL.objective, params=params
    )


GRID, SPLITEE, UCBEE = maker("grid"), maker("splitee", c=0.1), maker("ucbee")
ARMS = {SPLITEE: SPLITS, UCBEE: [Arm(1, alpha) for alpha in THRESHOLDS]}


def regret(policy: Policy, make: Make, traces: Traces) -> FloatArray:
    """Against the best arm of its own list; a grid's is the joint one."""
    run = replay(policy, traces, MODEL, np.random.default_rng(0))
    if make is GRID:
        return run.regret.best_fixed
    means = arm_means(traces, ARMS[make], MODEL)
    return np.cumsum(means.max() - means[run.arm])


@cache
def fleet(make: Make, means: tuple[float, ...]) -> tuple[dict[str, Any], ...]:
    """What three devices have learned in 2000 frames each."""
    policies = [make() for _ in SEEDS]
    for seed, policy in enumerate(policies):
        replay(policy, scene(means, 2000, 100 + seed), MODEL, np.random.default_rng(0))
    return tuple(policy.state() for policy in policies)


def cold_and_warm(make: Make, before: tuple[float, ...], now: tuple[float, ...]) -> tuple[FloatArray, FloatArray]:
    """Regret over 1000 frames of a device that starts from nothing, and from a fleet; mean over the seeds."""
    cold, warm = [], []
    for seed in SEEDS:
        traces, started = scene(now, 1000, seed), make()
        started.restore(warm_start(make, fleet(make, before)))
        cold.append(regret(make(), make, traces))
        warm.append(regret(started, make, traces))
    return np.mean(cold, axis=0), np.mean(warm, axis=0)


def test_the_weight_is_filled_up_from_below_like_water() -> None:
    assert waterline(np.array([10.0, 2.0, 1.0]), 6.0) == 3.0
    assert waterline(np.array([10.0, 10.0, 10.0]), 6.0) == 2.0
    assert waterline(np.array([0.0, 10.0, 10.0]), 6.0) == 3.0
    assert waterline(np.array([3.0, 2.0, 1.0]), 6.0) == np.inf


def test_two_devices_by_hand() -> None:
    """Arm 1: 30 pulls of mean .5 and 10 of .9 make .6; arm 2 was pulled twice; arm 3 never."""
    make = maker("splitee")
    one, other = make().state(), make().state()
    one["bandit"] |= {"pulls": [60.0, 2.0, 0.0], "sums": [30.0, 1.0, 0.0], "weight": 2.0, "choices": 62.0}
    other["bandit"] |= {"pulls": [10.0, 1.0, 0.0], "sums": [9.0, 0.2, 0.0], "choices": 11.0}
    start = warm_start(make, [one, other], weight=12.0)["bandit"]
    assert start["pulls"] == pytest.approx([10.0, 2.0, 0.0])
    assert start["sums"] == pytest.approx([6.0, 0.7, 0.0])
    assert (start["weight"], start["choices"]) == (1.0, 0.0)


@pytest.mark.parametrize("weight", [5.0, 32.0, 500.0])
def test_a_grid_starts_from_pooled_shares_and_means(weight: float) -> None:
    states = fleet(GRID, UNSURE)
    tables = [np.array(one["strata"]["sums"]).reshape(4, EXITS, -1) / one["strata"]["weight"] for one in states]
    pooled = np.sum(tables, axis=0)
    start = np.array(warm_start(GRID, states, weight=weight)["strata"]["sums"]).reshape(4, EXITS, -1)
    assert start[0].sum(axis=1) == pytest.approx(np.minimum(weight, pooled[0].sum(axis=1)))
    assert (start[2].sum(axis=1) <= weight + 1e-9).all()
    for count, total in ((0, 1), (2, 3)):
        seen = pooled[count] > 0
        assert start[total][seen] / start[count][seen] == pytest.approx(pooled[total][seen] / pooled[count][seen])
    assert start[0][1] / start[0][1].sum() == pytest.approx(pooled[0][1] / pooled[0][1].sum())


@pytest.mark.parametrize(("make", "means"), [(GRID, SURE), (SPLITEE, UNSURE), (UCBEE, UNSURE)])
def test_with_a_good_prior_the_first_frames_cost_half(make: Make, means: tuple[float, ...]) -> None:
    cold, warm = cold_and_warm(make, means, means)
    assert warm[499] < 0.6 * cold[499]


@pytest.mark.parametrize(("before", "now"), [(SURE, UNSURE), (UNSURE, SURE), (POOR, UNSURE)])
@pytest.mark.parametrize("make", [GRID, SPLITEE])
def test_a_wrong_prior_is_left_within_five_hundred_frames(
    make: Make, before: tuple[float, ...], now: tuple[float, ...]
) -> None:
    cold, warm = cold_and_warm(make, before, now)
    # A frame of the arm that the fleet thought best costs at least .05 more than one of the best.
    assert warm[999] - warm[499] < 0.1 * 0.05 * 500
    assert warm[999] < cold[999] + 6.0


def test_the_more_a_prior_weighs_the_longer_it_stays() -> None:
    light, heavy = (SPLITEE() for _ in range(2))
    states, traces = fleet(SPLITEE, SURE), scene(UNSURE, 1000, 0)
    light.restore(warm_start(SPLITEE, states, weight=16.0))
    heavy.restore(warm_start(SPLITEE, states, weight=2000.0))
    assert regret(light, SPLITEE, traces)[-1] < 0.3 * regret(heavy, SPLITEE, traces)[-1]


def test_hi_lcb_starts_with_the_verdicts_of_others() -> None:
    make = maker("hi_lcb", thresholds=[0.5])
    one, other = make().state(), make().state()
    one["rule"] = {"verdicts": [40.0, 4.0], "right": [10.0, 4.0], "frames": 100.0}
    other["rule"] = {"verdicts": [20.0, 0.0], "right": [5.0, 0.0], "frames": 30.0}
    start = warm_start(make, [one, other], weight=12.0)["rule"]
    assert start == {"verdicts": pytest.approx([8.0, 4.0]), "right": pytest.approx([2.0, 4.0]), "frames": 12.0}


def trusting(frames: int, power: tuple[float, ...], seed: int) -> Traces:
    """Exits of the same confidences whatever `power`, which are right with confidence ** power; a last one always."""
    rng, exits = np.random.default_rng(seed), len(power) + 1
    labels, ease = rng.integers(0, 10, frames), rng.random((frames, 1))
    depth, noise = 0.1 * np.arange(exits) / exits, rng.normal(0.0, 0.1, (frames, exits))
    confidence = np.clip(0.35 + 0.6 * ease + depth + noise, 0.1, 1.0)
    right = rng.random((frames, exits)) < confidence ** np.array([*power, 0.0])
    return Traces(confidence, np.where(right, labels[:, None], (labels[:, None] + 1) % 10), labels)


def sequential_losses(before: tuple[float, ...], now: tuple[float, ...]) -> tuple[FloatArray, FloatArray]:
    """(600,) loss of a cold and a warm sequential policy, mean over ten streams."""
    model = PathModel.published(len(now) + 1, per_layer=0.05, offload=0.3)

    def make() -> Policy:
        return make_policy("sequential", exits=model.exits, rng=np.random.default_rng(0), objective=model.objective)

    learned = [make() for _ in SEEDS]
    for seed, policy in enumerate(learned):
        replay(policy, trusting(2000, before, 100 + seed), model, np.random.default_rng(0))
    states, found = [policy.state() for policy in learned], []
    for seed in range(10):
        stream, policies = trusting(600, now, seed), (make(), make())
        policies[1].restore(warm_start(make, states))
        table = LossTable(stream, model)
        found.append([table.run_losses(replay(one, stream, model, np.random.default_rng(0))) for one in policies])
    cold, warm = np.mean(found, axis=0)
    return cold, warm


def test_a_sequential_policy_leaves_a_wrong_start_within_three_hundred_frames() -> None:
    """Exits that deserve trust, and exits of the same confidences that do not.

    A right start brings it little: it begins with a belief about all exits of all networks, and learns the rest from
    a few dozen frames.
    """
    sound, shaky = (0.3, 0.3, 0.3), (4.0, 3.0, 2.0)
    cold, warm = sequential_losses(sound, sound)
    assert warm.mean() < 1.01 * cold.mean()
    for before, now in ((sound, shaky), (shaky, sound)):
        cold, warm = sequential_losses(before, now)
        assert warm[:300].mean() < 1.2 * cold[:300].mean()
        assert warm[300:].mean() < 1.08 * cold[300:].mean()


def test_within_an_envelope_the_learner_starts_warm_and_the_promise_as_new() -> None:
    pledge = Pledge(target=0.95, false_alarm=0.05, share=0.1, floors=(0.6, 0.5))

    def make() -> Envelope:
        return Envelope(GRID(), Limits(), exits=EXITS, pledge=pledge)

    learned = make()
    replay(learned, scene(SURE, 300, 0), MODEL, np.random.default_rng(0))
    state = learned.state()
    broken = {**state, "envelope": {**state["envelope"], "stage": SHRUNK, "floors": [0.9, 0.8]}}
    start = warm_start(make, [state, broken])
    assert start["envelope"] == make().state()["envelope"]
    assert start["learner"] == warm_start(GRID, [state["learner"], state["learner"]])


@pytest.mark.parametrize("name", [*POLICIES])
def test_every_policy_starts_from_others_or_says_that_it_cannot(name: str) -> None:
    make = maker(name)
    learned = make()
    replay(learned, scene(UNSURE, 80, 0), MODEL, np.random.default_rng(0))
    state = json.loads(json.dumps(learned.state()))
    refused = refusal(make, state)
    assert refused.startswith(f"policy '{name}' keeps nothing that devices can pool" if refused else "")
    assert not (refused and name in POOLED)


def refusal(make: Make, state: dict[str, Any]) -> str:
    """Why there is no start; empty when there is one that such a policy takes."""
    try:
        start = warm_start(make, [state, state])
    except PolicyFileError as error:
        return str(error)
    make().restore(json.loads(json.dumps(start)))
    return ""


def test_a_state_of_another_policy_is_refused() -> None:
    with pytest.raises(PolicyFileError, match="ucbee"):
        warm_start(SPLITEE, [*fleet(SPLITEE, SURE), UCBEE().state()])
