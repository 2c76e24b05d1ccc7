"""Learn then Test with Hoeffding-Bentkus p-values, in fixed sequence."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import bdtr, rel_entr

from partitioner.calibrate.risk.sequence import ROUNDING, before_first_failure, checked
from split_core.tensors import FloatArray


def ltt(losses: FloatArray, *, epsilon: float, delta: float) -> int | None:
    """The loosest threshold before the first that is not shown to have a mean loss of at most `epsilon`.

    Exceeded with probability `delta` at most, whatever the losses: they need not be monotone.  Losses
    below 0 count as 0, which only makes it stricter.  See `RiskControl` for arguments and order.

    Source: Angelopoulos et al. 2021, Learn then Test, fixed-sequence testing.  The published code of "Fast
    yet Safe" returns the first threshold that fails, one step too far.
    """
    table = np.maximum(checked(losses, epsilon, delta), 0.0)
    return before_first_failure(p_values(table.sum(axis=0), len(table), epsilon) <= delta)


def p_values(sums: FloatArray, n: int, epsilon: float) -> FloatArray:
    """Hoeffding-Bentkus p-values of "the mean loss exceeds epsilon".

    Args:
        sums: (L,) of n losses in [0, 1] each.
        n: at least 1.
        epsilon: in (0, 1).

    Returns:
        (L,) min(e P(Bin(n, epsilon) <= ceil(sum)), exp(-n KL(min(mean, epsilon) | epsilon))), at most 1.

    Source: Bates et al. 2021, Distribution-free, risk-controlling prediction sets.
    """
    # Float noise must not add an error: 3.0000000001 losses are 3.
    bentkus = math.e * bdtr(np.ceil(sums - ROUNDING * n), n, epsilon)
    mean = np.clip(sums / n, 0.0, epsilon)
    # rel_entr knows that 0 ln 0 is 0.
    hoeffding = np.exp(-n * (rel_entr(mean, epsilon) + rel_entr(1.0 - mean, 1.0 - epsilon)))
    smallest: FloatArray = np.minimum(np.minimum(bentkus, hoeffding), 1.0)
    return smallest


def fewest_for(epsilon: float, delta: float) -> int:
    """Samples without any loss that show a mean loss of at most `epsilon`: (1 - epsilon)^n <= delta."""
    return math.ceil(math.log(delta) / math.log1p(-epsilon) - ROUNDING)
