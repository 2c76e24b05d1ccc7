"""What a policy that never ran would have earned, from the log of one that did: IPS, SNIPS and DR.

A log tells the reward of the arm that was played and the probability with which it was.  With w = pi(a) / p(a),

    IPS    mean of w r                                   unbiased, and wide (Horvitz and Thompson, 1952)
    SNIPS  sum of w r / sum of w                         a little biased, narrower (Swaminathan and Joachims, 2015)
    DR     mean of sum_b pi(b) q(b) + w (r - q(a))       unbiased too, narrower by as much as q is right (Dudik, 2011)

All of them need support: an arm that the log's policy could not have drawn tells nothing, whatever the formula says,
so every estimate carries a warning where that is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bandits.policy import Arm
from split_core.chance import probability
from split_core.errors import ArtefactError
from split_core.objective import Objective
from split_core.telemetry.decisions import FrameRecord
from split_core.tensors import FloatArray

CERTAIN = 1.0 - 1e-9
FEW = 50.0  # effective frames: below it the standard error itself is a guess
MUCH_MISSING = 0.01
RIDGE = 1.0


@dataclass(frozen=True, slots=True)
class Logged:
    """Frames of a decision log that say what an arm earned.

    Attributes:
        arms: all that the log's policy played.
        arm: (N,) index into `arms`.
        propensity: (N,) probability with which that arm was drawn, above 0.
        reward: (N,).
        context: (N, D) what was known of a frame whatever arm was drawn; D may be 0.
        left_out: frames without an arm, and those whose reply was lost: an outage is no arm's fault.
    """

    arms: tuple[Arm, ...]
    arm: NDArray[np.int64]
    propensity: FloatArray
    reward: FloatArray
    context: FloatArray
    left_out: int = 0

    def __post_init__(self) -> None:
        if not len(self.arm):
            raise ArtefactError("no frame of this log was played by an arm and finished; nothing can be estimated")
        if not ((self.propensity > 0.0) & (self.propensity <= 1.0)).all():
            raise ArtefactError("propensities must lie above 0 and at most at 1; is this log of our own writing?")


@dataclass(frozen=True, slots=True)
class Estimate:
    """The mean reward of a policy, and how far to believe it.

    Attributes:
        value: of the estimate.
        std_error: of it.
        effective_frames: how many frames of the policy itself would say as much.
        warning: empty where support is given.
    """

    value: float
    std_error: float
    effective_frames: float
    warning: str = ""


def logged_arms(records: Sequence[FrameRecord], objective: Objective) -> Logged:
    """The frames of a log with an arm and a cost; the confidence of exit 1 is context where all frames have it.

    Raises:
        ArtefactError: there are none, or a propensity that is no probability.
    """
    usable = [r for r in records if r.arm is not None and r.cost is not None and not r.degraded]
    played = [Arm(*r.arm) for r in usable if r.arm is not None]
    arms = tuple(sorted(set(played), key=lambda arm: (arm.split, arm.threshold)))
    place = {arm: index for index, arm in enumerate(arms)}
    first = [r.confidences[0] if r.exits[:1] == (1,) else np.nan for r in usable]
    context = np.array(first, np.float64).reshape(-1, 1)
    return Logged(
        arms,
        np.array([place[arm] for arm in played], np.int64),
        np.array([probability(r.propensity) for r in usable], np.float64),
        np.array([objective.reward(r.confidence, r.cost or 0.0) for r in usable], np.float64),
        context if np.isfinite(context).all() else context[:, :0],
        len(records) - len(usable),
    )


def fixed(logged: Logged, arm: Arm) -> FloatArray:
    """(A,) probabilities of the policy that always plays `arm`; all zero when the log never did."""
    return np.array([float(other == arm) for other in logged.arms])


def uniform(logged: Logged) -> FloatArray:
    """(A,) probabilities of drawing among the log's arms."""
    return np.full(len(logged.arms), 1.0 / len(logged.arms))


def ips(logged: Logged, target: FloatArray) -> Estimate:
    """Inverse propensity scoring.

    Args:
        logged: the log.
        target: (A,) or (N, A) probabilities of the policy in question.
    """
    weights = _weights(logged, target)
    return _mean(logged, target, weights, weights * logged.reward)


def snips(logged: Logged, target: FloatArray) -> Estimate:
    """The same, normalised by the weights that were met; the standard error is that of a ratio."""
    weights = _weights(logged, target)
    total = float(weights.sum())
    if total == 0.0:
        return Estimate(np.nan, np.inf, 0.0, _warning(logged, target, weights))
    value = float((weights * logged.reward).sum()) / total
    std_error = float(np.sqrt((weights**2 * (logged.reward - value) ** 2).sum())) / total
    return Estimate(value, std_error, _effective(weights), _warning(logged, target, weights))


def doubly_robust(logged: Logged, target: FloatArray, rewards: FloatArray | None = None) -> Estimate:
    """The prediction of a reward model, corrected by what the log saw of its errors.

    Args:
        logged: the log.
        target: as in `ips`.
        rewards: (N, A) a model's prediction for every arm; `fitted_rewards` unless told.
    """
    predicted = fitted_rewards(logged) if rewards is None else rewards
    weights = _weights(logged, target)
    said = predicted[np.arange(len(logged.arm)), logged.arm]
    expected = (np.broadcast_to(target, predicted.shape) * predicted).sum(axis=1)
    return _mean(logged, target, weights, expected + weights * (logged.reward - said))


def fitted_rewards(logged: Logged) -> FloatArray:
    """(N, A) mean reward of each arm given the context, by ridge regression.

    Each half of the log is predicted by the other, so that no frame's own reward is in its prediction.  An arm that
    a half never played gets that half's mean.
    """
    frames = len(logged.arm)
    predicted = np.empty((frames, len(logged.arms)))
    halves = np.arange(frames) % 2 == 0
    for here in (halves, ~halves):
        fit = ~here if (~here).any() else here
        features = _features(logged.context)
        for arm in range(len(logged.arms)):
            seen = fit & (logged.arm == arm)
            start = float(logged.reward[seen if seen.any() else fit].mean())
            weights = _ridge(features[seen], logged.reward[seen] - start)
            predicted[here, arm] = start + features[here] @ weights
    return predicted


def _features(context: FloatArray) -> FloatArray:
    """Centred, so that the ridge shrinks towards the mean of the arm."""
    centred = context - context.mean(axis=0)
    return np.concatenate([np.ones((len(context), 1)), centred], axis=1)


def _ridge(features: FloatArray, rewards: FloatArray) -> FloatArray:
    gram = features.T @ features + RIDGE * np.eye(features.shape[1])
    solved: FloatArray = np.linalg.solve(gram, features.T @ rewards).astype(np.float64)
    return solved


def _weights(logged: Logged, target: FloatArray) -> FloatArray:
    table = np.broadcast_to(target, (len(logged.arm), len(logged.arms)))
    result: FloatArray = table[np.arange(len(logged.arm)), logged.arm] / logged.propensity
    return result


def _mean(logged: Logged, target: FloatArray, weights: FloatArray, terms: FloatArray) -> Estimate:
    frames = len(terms)
    spread = float(terms.std(ddof=1)) / np.sqrt(frames) if frames > 1 else np.inf
    return Estimate(float(terms.mean()), float(spread), _effective(weights), _warning(logged, target, weights))


def _effective(weights: FloatArray) -> float:
    """Kish's number of equally weighted frames."""
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0


def _warning(logged: Logged, target: FloatArray, weights: FloatArray) -> str:
    table = np.broadcast_to(target, (len(logged.arm), len(logged.arms)))
    own = table[np.arange(len(logged.arm)), logged.arm]
    never = float(1.0 - table.sum(axis=1).mean())
    if never > MUCH_MISSING:
        return f"no support: {never:.0%} of what this policy plays was never logged"
    # What was drawn with certainty left no chance to any other arm.
    excluded = float(((logged.propensity >= CERTAIN) * (1.0 - own)).mean())
    if excluded > MUCH_MISSING:
        return f"no support: on {excluded:.0%} of the frames the log's policy could not have played this"
    if _effective(weights) < FEW:
        return f"little support: as good as {_effective(weights):.0f} frames"
    return ""
