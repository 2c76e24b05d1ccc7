"""From counts to probabilities: is the answer right, how sure is that, and what will the next exit say?

Nothing is believed from few frames alone.  A state's share of right answers leans on its exit's curve, a group's on
that of all groups, a step on those of states that are as sure; answers are never less often right for being surer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bandits.sequential.counts import Counts
from bandits.sequential.curve import Curve
from bandits.sequential.states import BINS, FIRST, KINS, TARGETS
from split_core.tensors import FloatArray

# Verdicts that a prior is worth.
PRIOR = 4.0
# A share of right answers of 0 or 1 in the few frames of a state is not certain.
LEAST_VARIANCE = 0.01
# Verdicts that is worth, at most, what the frames that went deeper from a state tell about it.
CHAIN = 80.0
# Where a reading is wrong and the exit before said something else, that is wrong too in so many cases.
THIRD = 0.3
# How much neighbouring bins tell about the steps from a bin, by their distance.
NEIGHBOURS = (1.0, 0.3, 0.1)


@dataclass(frozen=True, slots=True)
class Estimates:
    """Probabilities of a network's states.

    Attributes:
        wrong: (K-1, G, STATES) probability that the reading's label is wrong.
        width: of the same shape, its standard deviation.
        earlier_wrong: (K-1, BINS) the same of the exit before, where this one differs from it.
        earlier_width: of the same shape.
        steps: (K-2, STATES, TARGETS) probability of the next state.
        starts: (K-1, BINS) of the first reading's, for a frame that is first read at this exit.
        turns: (G, G) of the next group, where labels differ.
        firsts: (G,) of the first group.
        error: (G,) mean cost of a wrong answer of the group.
    """

    wrong: FloatArray
    width: FloatArray
    earlier_wrong: FloatArray
    earlier_width: FloatArray
    steps: FloatArray
    starts: FloatArray
    turns: FloatArray
    firsts: FloatArray
    error: FloatArray


def estimate(counts: Counts, curve: Curve, error: FloatArray) -> Estimates:
    """What `counts` say now.

    Args:
        counts: of exits 1..K-1.
        curve: fitted to them.
        error: (G,) cost of a wrong answer of the group before any was seen.
    """
    steps = _steps(counts.steps)
    wrong, earlier, known = _wrong(counts, curve, steps)
    spread = curve.spread(counts.seen.sum(axis=1)) * PRIOR / (known + PRIOR)
    width = np.hypot(spread, _deviation(wrong.mean(axis=1), known))[:, None, :]
    differing = counts.seen[:, :, :BINS].sum(axis=1)
    return Estimates(
        wrong,
        np.broadcast_to(width, wrong.shape),
        earlier,
        np.hypot(0.5 * PRIOR / (differing + PRIOR), _deviation(earlier, differing)),
        steps,
        _starts(counts.starts, steps),
        _shares(counts.turns),
        _shares(counts.firsts),
        (counts.missed[1] + PRIOR * error) / (counts.missed[0] + PRIOR),
    )


def _deviation(share: FloatArray, seen: FloatArray) -> FloatArray:
    """Standard deviation of a share that leans on PRIOR, as far as it comes from what was seen."""
    result: FloatArray = np.sqrt(np.maximum(share * (1.0 - share), LEAST_VARIANCE) * seen) / (seen + PRIOR)
    return result


def _wrong(counts: Counts, curve: Curve, steps: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Shares of wrong answers: (K-1, G, STATES) of the reading, (K-1, BINS) of the one before where it differs.

    And (K-1, STATES) how many readings they stand on.  A frame that went deeper tells whether its reading here was
    wrong by where it came: there the label is the same, or that of the exit before.
    """
    seen, wrong = counts.seen.sum(axis=1), counts.wrong.sum(axis=1)
    prior = 1.0 - curve.right()
    # Beyond exit 1 few frames have their first reading: it leans on all readings there.
    kins_seen, kins_wrong = (each.reshape(-1, KINS, BINS) for each in (seen, wrong))
    pooled = kins_wrong.sum(axis=1) + PRIOR * prior[:, FIRST * BINS :]
    prior[1:, FIRST * BINS :] = (pooled / (kins_seen.sum(axis=1) + PRIOR))[1:]
    went = counts.steps.sum(axis=2)
    total = wrong + PRIOR * prior
    share, earlier = np.empty_like(seen), counts.earlier_wrong.copy()
    differing = counts.seen[:, :, :BINS].sum(axis=1)
    for place in range(len(seen) - 1, -1, -1):
        if place < len(went):
            after = np.concatenate((earlier[place + 1], share[place + 1, BINS:TARGETS]))
            # No more than what it comes to stands on (as a harmonic mean, for all of that may err alike).
            stands_on = np.concatenate((differing[place + 1], seen[place + 1, BINS:TARGETS])) + 1.0
            worth = np.minimum(np.minimum(went[place], CHAIN), 1.0 / (steps[place] @ (1.0 / stands_on)))
            seen[place] += worth
            total[place] += worth * (steps[place] @ after)
        share[place] = total[place] / (seen[place] + PRIOR)
        here = share[place, :BINS]
        earlier[place] = (earlier[place] + PRIOR * (1.0 - here + THIRD * here)) / (differing[place] + PRIOR)
    share = falling(share, seen + PRIOR)[:, None, :]
    if counts.seen.shape[1] > 1:
        own = counts.seen + PRIOR
        share = falling((counts.wrong + PRIOR * share) / own, own)
    return share, earlier, seen


_AHEAD = np.tril(np.full((BINS - 1, BINS - 1), 1e300), -1)
_BEHIND = np.tril(np.full((BINS - 1, BINS - 1), np.inf), -1)


def falling(share: FloatArray, weight: FloatArray) -> FloatArray:
    """Isotonic regression: the nearest shares that do not grow with confidence.  Barred bins are left alone.

    Args:
        share: (..., STATES).
        weight: of the same shape, positive.

    Source: the min-max formula, min over a <= i of max over b >= i of the mean over a..b (Barlow et al. 1972).
    """
    shape = share.shape
    share, weight = share.reshape(-1, BINS), weight.reshape(-1, BINS)
    sums = np.zeros((2, len(share), BINS))
    np.cumsum(weight[:, 1:], axis=1, out=sums[0, :, 1:])
    np.cumsum(share[:, 1:] * weight[:, 1:], axis=1, out=sums[1, :, 1:])
    between = sums[:, :, None, 1:] - sums[:, :, :-1, None]
    means = between[1] / (between[0] + _AHEAD)
    highest = np.maximum.accumulate(means[:, :, ::-1], axis=2)[:, :, ::-1]
    result = share.copy()
    result[:, 1:] = (highest + _BEHIND).min(axis=1)
    return result.reshape(shape)


def _smoothing() -> FloatArray:
    distance = np.abs(np.subtract.outer(np.arange(BINS), np.arange(BINS)))
    weights = np.zeros((BINS, BINS))
    for away, weight in enumerate(NEIGHBOURS):
        weights[distance == away] = weight
    weights[0, 1:] = weights[1:, 0] = 0.0  # a barred reading is no neighbour of an unsure one
    return weights


_SMOOTHING = _smoothing()


def _steps(counted: FloatArray) -> FloatArray:
    near = _SMOOTHING @ counted.reshape(-1, KINS, BINS, TARGETS)
    overall = counted.sum(axis=1) + 0.01
    overall /= overall.sum(axis=1, keepdims=True)
    pooled = near.sum(axis=1) + overall[:, None, :]
    pooled /= pooled.sum(axis=2, keepdims=True)
    near += pooled[:, None]
    near /= near.sum(axis=3, keepdims=True)
    result: FloatArray = near.reshape(counted.shape)
    return result


def _starts(counted: FloatArray, steps: FloatArray) -> FloatArray:
    """What is first read at exit i follows from what is read when all exits before are read, until it was seen."""
    result = counted + 0.01
    for place in range(1, len(result)):
        if place == 1:
            spread = result[0] / result[0].sum() @ steps[0, FIRST * BINS :]
        else:
            spread = spread @ steps[place - 1, :TARGETS]
        result[place] += 4.0 * PRIOR * (spread[:BINS] + spread[BINS:])
    shares: FloatArray = result / result.sum(axis=1, keepdims=True)
    return shares


def _shares(counted: FloatArray) -> FloatArray:
    result: FloatArray = (counted + 1.0) / (counted + 1.0).sum(axis=-1, keepdims=True)
    return result
