from __future__ import annotations

import numpy as np
import pytest

from bandits.off_policy import Estimate, Logged, doubly_robust, fitted_rewards, fixed, ips, logged_arms, snips, uniform
from bandits.policy import Arm
from bandits.regret import RewardTable
from split_core.errors import ArtefactError
from split_core.objective import Objective
from tests.bandits.frames import path_model, random_traces
from tests.bandits.records import record

TRACES, MODEL = random_traces(400, 3, seed=4), path_model(link_residual_ms=(0.0,))
ARMS = (Arm(1, 0.0), Arm(1, 0.7), Arm(2, 0.7), Arm(3, 0.0))
EARNED = np.stack([RewardTable(TRACES, MODEL).of(arm) for arm in ARMS], axis=1)
TRUTH = EARNED.mean(axis=0)


def log_of(seed: int, frames: int = 400, *, skew: float = 1.0) -> Logged:
    """A policy that draws by what it thinks of exit 1, over frames drawn from the trace."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(TRACES.samples, size=frames)
    sure = TRACES.confidence[rows, 0]
    scores = skew * np.stack([sure, 1.0 - sure, np.full(frames, 0.3), np.full(frames, -0.5)], axis=1)
    chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    drawn = (rng.random((frames, 1)) > np.cumsum(chances, axis=1)).sum(axis=1).clip(max=3)
    here = np.arange(frames)
    return Logged(ARMS, drawn, chances[here, drawn], EARNED[rows, drawn], sure[:, None])


def estimates(estimator: object, arm: int, runs: int = 300) -> list[Estimate]:
    return [estimator(log, fixed(log, ARMS[arm])) for log in map(log_of, range(runs))]  # type: ignore[operator]


@pytest.mark.parametrize("arm", range(4))
@pytest.mark.parametrize("estimator", [ips, doubly_robust, snips])
def test_over_many_logs_the_truth_is_met(estimator: object, arm: int) -> None:
    values = np.array([each.value for each in estimates(estimator, arm)])
    assert values.mean() == pytest.approx(TRUTH[arm], abs=3.5 * values.std() / np.sqrt(len(values)))


@pytest.mark.parametrize("estimator", [ips, doubly_robust, snips])
def test_the_standard_error_is_that_of_many_logs_and_covers_the_truth(estimator: object) -> None:
    found = estimates(estimator, 2)
    values, errors = np.array([each.value for each in found]), np.array([each.std_error for each in found])
    assert errors.mean() == pytest.approx(values.std(), rel=0.2)
    assert (abs(values - TRUTH[2]) < 1.96 * errors).mean() > 0.9


def test_a_model_of_rewards_narrows_the_estimate() -> None:
    wide, narrow, ratio = (np.std([each.value for each in estimates(e, 3)]) for e in (ips, doubly_robust, snips))
    assert narrow < 0.65 * wide
    assert narrow < 1.05 * ratio


def test_a_wrong_model_leaves_doubly_robust_unbiased() -> None:
    logs = [log_of(seed) for seed in range(300)]
    values = np.array([doubly_robust(log, fixed(log, ARMS[1]), np.full((400, 4), 5.0)).value for log in logs])
    assert values.mean() == pytest.approx(TRUTH[1], abs=3.5 * values.std() / np.sqrt(300))


def test_the_model_does_not_see_the_frame_that_it_predicts() -> None:
    rng = np.random.default_rng(0)
    noise = Logged(ARMS[:1], np.zeros(4000, np.int64), np.ones(4000), rng.normal(size=4000), np.empty((4000, 0)))
    assert abs(np.corrcoef(fitted_rewards(noise)[:, 0], noise.reward)[0, 1]) < 0.05


def test_a_policy_that_draws_is_estimated_too() -> None:
    values = [snips(log, uniform(log)).value for log in map(log_of, range(200))]
    assert np.mean(values) == pytest.approx(TRUTH.mean(), abs=0.005)


def test_with_support_there_is_no_warning() -> None:
    log = log_of(0, frames=2000)
    assert all(ips(log, fixed(log, arm)).warning == "" for arm in ARMS)
    assert ips(log, uniform(log)).effective_frames > 200


def test_an_arm_that_was_never_logged_is_no_estimate() -> None:
    log = log_of(0)
    found = snips(log, fixed(log, Arm(2, 0.9)))
    assert found.warning == "no support: 100% of what this policy plays was never logged"
    assert np.isnan(found.value)


def test_a_log_without_chance_supports_nothing_else_than_itself() -> None:
    log = log_of(0)
    certain = Logged(ARMS, log.arm, np.ones(400), log.reward, log.context)
    assert "could not have played this" in ips(certain, fixed(certain, ARMS[0])).warning
    always = Logged(ARMS[:1], np.zeros(400, np.int64), np.ones(400), log.reward, log.context)
    assert ips(always, fixed(always, ARMS[0])).warning == ""
    assert ips(always, fixed(always, ARMS[0])).value == pytest.approx(log.reward.mean())


def test_few_matching_frames_are_told() -> None:
    log = log_of(0, frames=60)
    assert "little support: as good as" in ips(log, fixed(log, ARMS[3])).warning


def test_a_log_gives_its_finished_frames_only() -> None:
    records = [
        record(arm=(1, 0.7), propensity=0.5, confidence=0.9, cost=10.0, exits=(1,), confidences=(0.9,)),
        record(arm=(2, 0.7), propensity=0.25, confidence=0.8, cost=20.0, exits=(1, 2), confidences=(0.4, 0.8)),
        record(arm=(2, 0.7), propensity=0.25, degraded="late", cost=20.0),
        record(arm=None, cost=1.0),
        record(arm=(1, 0.7), cost=None),
    ]
    found = logged_arms(records, Objective(mu=0.01))
    assert (found.arms, found.left_out) == ((Arm(1, 0.7), Arm(2, 0.7)), 3)
    assert found.reward.tolist() == pytest.approx([0.8, 0.6])
    assert found.context.ravel().tolist() == [0.9, 0.4]


def test_logs_that_say_nothing_are_refused() -> None:
    with pytest.raises(ArtefactError, match="no frame of this log"):
        logged_arms([record(arm=None)], Objective())
    with pytest.raises(ArtefactError, match="propensities must lie above 0"):
        logged_arms([record(arm=(1, 0.5), propensity=0.0, cost=1.0)], Objective())
