"""Conformal risk control: the promise is about the mean over many calibrations."""

from __future__ import annotations

from partitioner.calibrate.risk.sequence import ROUNDING, before_first_failure, checked
from split_core.tensors import FloatArray


def crc(losses: FloatArray, *, epsilon: float, delta: float) -> int | None:
    """The loosest threshold with mean loss at most (n + 1) epsilon / n - 1 / n.

    The expected loss is then at most `epsilon`, over calibration sets and samples together; one
    calibration in several exceeds it.  `delta` is not used.  See `RiskControl` for arguments and order.

    Source: Angelopoulos et al. 2024, Conformal Risk Control, with B = 1; the proof takes losses that never fall
    as the threshold does.  For others this is close, not exact.
    """
    table = checked(losses, epsilon, delta)
    # Sums, not means: n * mean would lose the last digit where the bound is met exactly.
    return before_first_failure(table.sum(axis=0) <= (len(table) + 1) * epsilon - 1.0 + ROUNDING)
