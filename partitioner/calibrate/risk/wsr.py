"""The betting bound of Waudby-Smith and Ramdas: tight where losses vary little."""

from __future__ import annotations

import math

import numpy as np

from partitioner.calibrate.risk.sequence import before_first_failure, checked
from split_core.tensors import FloatArray

STEPS = 60  # of bisection: more than a float has digits


def wsr(losses: FloatArray, *, epsilon: float, delta: float) -> int | None:
    """The loosest threshold such that it and all stricter ones have an upper bound of at most `epsilon`.

    Exceeded with probability `delta` at most.  Losses may be negative: a bet that wins more stays a fair bet.
    Samples must be in an order that has nothing to do with their losses.  See `RiskControl` for arguments.

    Source: Waudby-Smith and Ramdas 2024, as used by Bates et al. 2021, section 3.1.3.
    """
    table = checked(losses, epsilon, delta)
    # The wealth rises with the mean that it bets against, so the bound need not be solved for.
    return before_first_failure(log_wealth(table, bets(table, delta), epsilon) >= math.log(1.0 / delta))


def upper_bound(losses: FloatArray, delta: float) -> float:
    """The bound itself for (n,) losses of one threshold: the mean is below it but for a chance of `delta`."""
    column = np.asarray(losses, np.float64)[:, None]
    staked, goal = bets(column, delta), math.log(1.0 / delta)
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2.0
        if log_wealth(column, staked, middle)[0] >= goal:
            high = middle
        else:
            low = middle
    return high


def bets(losses: FloatArray, delta: float) -> FloatArray:
    """(n, L) stakes, each from the samples before it: sqrt(2 ln(1/delta) / (n variance)), at most 1.

    Mean and variance start from 1/2 and 1/4, as if one such sample had been seen.
    """
    n = len(losses)
    seen = np.arange(1, n + 1)[:, None] + 1.0
    mean = (0.5 + np.cumsum(losses, axis=0)) / seen
    variance = (0.25 + np.cumsum((losses - mean) ** 2, axis=0)) / seen
    before = np.concatenate([np.full_like(variance[:1], 0.25), variance[:-1]])
    staked: FloatArray = np.minimum(np.sqrt(2.0 * math.log(1.0 / delta) / (n * before)), 1.0)
    return staked


def log_wealth(losses: FloatArray, staked: FloatArray, mean: float) -> FloatArray:
    """(L,) the most that the log wealth of a bettor against `mean` ever was."""
    # A sure loss with everything staked is ruin, -inf, and not an error.
    with np.errstate(divide="ignore"):
        steps = np.log1p(-staked * (losses - mean))
    highest: FloatArray = np.cumsum(steps, axis=0).max(axis=0)
    return highest
