"""What all risk controls share: the check of their input, and walking from the strictest threshold down."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from split_core.tensors import FloatArray

# Sums of losses that are whole numbers in the paper are off by this much at most in floats.
ROUNDING = 1e-9


class RiskControl(Protocol):
    """Losses to the place of the loosest threshold that may be used."""

    def __call__(self, losses: FloatArray, *, epsilon: float, delta: float) -> int | None:
        """Choose a threshold.

        Args:
            losses: (n, L) at most 1: sample s at threshold l.  Thresholds DESCEND along axis 1: column 0 is
                the strictest, so a greater place is a looser threshold, earlier exits and less compute.
            epsilon: mean loss that is accepted, in (0, 1).
            delta: chance that it is exceeded all the same, in (0, 1).

        Returns:
            A column, or None when not even column 0 can be promised.
        """


def checked(losses: FloatArray, epsilon: float, delta: float) -> FloatArray:
    """The losses in float64.

    Raises:
        ValueError: not (n, L) with n > 0 and L > 0, not finite, above 1, or epsilon or delta not in (0, 1).
    """
    table = np.asarray(losses, np.float64)
    if table.ndim != 2 or not table.size:
        raise ValueError(f"losses must be (n, L) with n > 0 and L > 0, got {table.shape}")
    if not np.isfinite(table).all() or table.max() > 1.0 + ROUNDING:
        raise ValueError("losses must be finite and at most 1")
    for name, value in (("epsilon", epsilon), ("delta", delta)):
        if not 0.0 < value < 1.0:
            raise ValueError(f"{name} must be in (0, 1), got {value}")
    return table


def before_first_failure(passes: NDArray[np.bool_]) -> int | None:
    """The last place of the unbroken run of passes that starts at place 0; None when 0 fails.

    The run, not the last pass: mean losses are not monotone (on CALM's CNN/DM log in 78 % of the steps), and
    what lies beyond a failure was never tested in sequence.
    """
    failed = np.flatnonzero(~passes)
    run = int(failed[0]) if failed.size else len(passes)
    return run - 1 if run else None
