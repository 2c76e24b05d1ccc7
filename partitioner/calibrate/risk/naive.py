"""No correction at all: what everybody does, and what the others are measured against."""

from __future__ import annotations

from partitioner.calibrate.risk.sequence import ROUNDING, before_first_failure, checked
from split_core.tensors import FloatArray


def naive(losses: FloatArray, *, epsilon: float, delta: float) -> int | None:
    """The loosest threshold whose mean loss is below `epsilon`; promises nothing, `delta` is not used.

    See `RiskControl` for arguments and order.
    """
    table = checked(losses, epsilon, delta)
    return before_first_failure(table.sum(axis=0) < epsilon * len(table) - ROUNDING)
