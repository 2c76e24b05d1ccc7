"""Exponential weights over thresholds, where a mistake shows only in frames that are shipped to find out.

With probability epsilon a frame is shipped whatever its reading (E = 1); else it does what the drawn threshold says.
Every threshold is charged, every frame,

    beta                               where it ships,
    E * (cost of mistake) / epsilon    where it answers,

which is its loss in expectation: E does not depend on the frame.  With T frames, N thresholds and mistakes of at most
M the regret is at most ln N / eta + eta T M^2 / (2 epsilon) + epsilon T; the defaults of eta and epsilon are where
that bound is lowest, of the order T^(2/3) (M^2 ln N)^(1/3).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np

from bandits import saved
from split_core.tensors import FloatArray


def rates(experts: int, horizon: int, worst: float) -> tuple[float, float]:
    """Learning rate eta and exploration epsilon at which the bound above is lowest.

    Args:
        experts: N, at least 1.
        horizon: T, frames.
        worst: M, what the costliest mistake costs.
    """
    eta = (2.0 * math.log(max(2, experts)) ** 2 / (worst * horizon) ** 2) ** (1.0 / 3.0)
    return eta, min(1.0, worst * math.sqrt(eta / 2.0))


class Hedge:
    """Weights of thresholds that were charged for frames; threshold k answers from its confidence on.

    Args:
        thresholds: ascending.
        eta: learning rate.
    """

    def __init__(self, thresholds: Sequence[float], *, eta: float) -> None:
        self._thresholds, self._eta = list(thresholds), eta
        self._losses = np.zeros(len(self._thresholds))

    def probabilities(self) -> FloatArray:
        """(N,) of drawing each threshold."""
        weights = np.exp(self._eta * (self._losses.min() - self._losses))
        chances: FloatArray = weights / weights.sum()
        return chances

    def draw(self, rng: np.random.Generator) -> tuple[int, float]:
        """A threshold's place, and its probability."""
        chances = self.probabilities()
        place = int(np.searchsorted(np.cumsum(chances), rng.random(), side="right"))
        place = min(place, len(chances) - 1)
        return place, float(chances[place])

    def charge(self, confidence: float, *, shipped: float, answered: float) -> None:
        """Charge every threshold for one frame, by what it would have done with it."""
        answers = bisect_right(self._thresholds, confidence)
        self._losses[:answers] += answered
        self._losses[answers:] += shipped

    def losses(self) -> list[float]:
        """(N,) charged so far."""
        found: list[float] = self._losses.tolist()
        return found

    def set_losses(self, losses: Sequence[float]) -> None:
        """Go on from `losses`."""
        self._losses[:] = losses


def restore_all(state: dict[str, Any], hedges: dict[str, Hedge], rng: np.random.Generator, policy: str) -> None:
    """Losses of every named hedge and the generator, all or nothing.

    Raises:
        PolicyFileError: something does not fit.
    """
    found = {name: saved.numbers(state, name, len(hedge.losses()), policy, least=0.0) for name, hedge in hedges.items()}
    saved.restore_generator(rng, state, policy)
    for name, hedge in hedges.items():
        hedge.set_losses(found[name])
