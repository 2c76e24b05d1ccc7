"""Conformal sets: every class that the calibration samples do not rule out.  One class alone is an answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from split_core.readings import Reading
from split_core.tensors import FloatArray

ROUNDING = 1e-9  # (n + 1)(1 - alpha) that is whole on paper must not become the next whole number


def order_of(samples: int, alpha: float) -> int:
    """Which of so many ascending scores is the quantile: the ceil((n + 1)(1 - alpha))-th; above n there is none."""
    return math.ceil((samples + 1) * (1.0 - alpha) - ROUNDING)


def fewest_samples(alpha: float) -> int:
    """The least n with a quantile: (n + 1)(1 - alpha) <= n."""
    return math.ceil(1.0 / alpha - 1.0 - ROUNDING)


def quantile(scores: FloatArray, alpha: float) -> float:
    """The finite-sample quantile of (n,) scores: one more, drawn alike, is at most it with probability 1 - alpha.

    Args:
        scores: of samples that nothing was fitted on.
        alpha: in (0, 1).

    Returns:
        Infinity when n is below `fewest_samples`.

    Source: Vovk et al. 2005; Angelopoulos and Bates 2023, A gentle introduction to conformal prediction.
    """
    place = order_of(len(scores), alpha)
    return float(np.sort(scores)[place - 1]) if place <= len(scores) else math.inf


@dataclass(frozen=True)
class ConformalSets:
    """Sets by the least ambiguous rule: class y belongs when 1 - p_y is at most the quantile of the exit.

    The true class is in the set with probability 1 - alpha at least, per exit, on data like the calibration's.
    Where the exit is surer than it must be, no class may reach the quantile: an empty set is no answer either.

    Args:
        quantiles: per exit, one for all classes or one per class.

    Source: Sadinle, Lei and Wasserman 2019; per class it is the label-conditional (Mondrian) form.
    """

    quantiles: Sequence[Sequence[float]]
    _least: list[FloatArray] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_least", [1.0 - np.asarray(row, np.float64) for row in self.quantiles])

    def members(self, exit: int, probabilities: FloatArray) -> NDArray[np.bool_]:
        """(..., C) which classes are in the set of `exit`, from (..., C) probabilities."""
        found: NDArray[np.bool_] = probabilities >= self._least[exit - 1]
        return found

    def unsure(self, reading: Reading) -> bool:
        """Is the set anything else than the one class of the answer?  What has no probabilities is unsure."""
        if reading.probabilities is None or reading.label < 0:
            return True
        inside = reading.probabilities >= self._least[reading.exit - 1]
        return bool(not inside[reading.label] or np.count_nonzero(inside) != 1)
