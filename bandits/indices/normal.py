"""How likely one of several normal variables is the highest of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np

from split_core.tensors import FloatArray

# Beyond so many deviations nothing is left: 1e-11.
FAR = 6.5
# A distribution function is smooth between these many deviations from its mean.
KNOTS = np.array([-FAR, -4.0, -2.0, 0.0, 2.0, 4.0, FAR])
# Knots of different variables that are nearer than this many of the least deviations are one.
NEAR = 0.5
NODES, WEIGHTS = np.polynomial.legendre.leggauss(8)


def chance_of_highest(place: int, means: Sequence[float], deviations: Sequence[float]) -> float:
    """P(X_place is the highest), X_j independent N(means_j, deviations_j^2).

    The integral of the density of X_place times the distribution functions of all others, by Gauss and Legendre's
    rule between the knots of all of them, good to some 1e-5.  At least the smallest positive double, since a variable
    that was drawn highest was possible.

    Args:
        place: which variable.
        means: of all.
        deviations: of all, not negative; when one is 0, all are taken to be.

    Returns:
        In (0, 1].
    """
    mean, deviation = np.array(means), np.array(deviations)
    if len(mean) == 1 or not deviation.all():
        return 1.0
    low = max(mean[place] - FAR * deviation[place], float((mean - FAR * deviation).max()))
    high = mean[place] + FAR * deviation[place]
    if high <= low:
        return math.ulp(0.0)
    rivals = np.flatnonzero(mean + FAR * deviation > low)
    rivals = rivals[rivals != place]
    at, weight = _rule(low, high, [place, *rivals], mean, deviation)
    density = weight * np.exp(-0.5 * ((at - mean[place]) / deviation[place]) ** 2)
    below = np.interp((at - mean[rivals, None]) / deviation[rivals, None], *_distribution())
    chance = float(density @ below.prod(axis=0)) / (math.sqrt(2.0 * math.pi) * float(deviation[place]))
    return min(1.0, max(math.ulp(0.0), chance))


def _rule(
    low: float, high: float, rivals: Sequence[int], mean: FloatArray, deviation: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights of a rule over [low, high] that is fine where any of `rivals` is steep."""
    knots = np.sort((mean[rivals, None] + KNOTS * deviation[rivals, None]).ravel())
    cells = np.floor(knots / (NEAR * deviation[rivals].min()))
    knots = knots[np.flatnonzero(np.diff(cells, prepend=-math.inf))]
    edges = np.array([low, *knots[(knots > low) & (knots < high)], high])
    half = np.diff(edges)[:, None] / 2.0
    return (edges[:-1, None] + half * (1.0 + NODES)).ravel(), (half * WEIGHTS).ravel()


@cache
def _distribution() -> tuple[FloatArray, FloatArray]:
    """The normal distribution function as a table; straight lines between are 2e-7 off at most."""
    at = np.linspace(-FAR, FAR, 4097)
    return at, np.array([0.5 * math.erfc(-x / math.sqrt(2.0)) for x in at.tolist()])
