"""Distance between the two likeliest classes."""

from __future__ import annotations

import numpy as np

from split_core.tensors import FloatArray


def margin(probabilities: FloatArray) -> float:
    """Largest minus second largest of the (C,) class probabilities; 1 when there is one class only."""
    if probabilities.size < 2:
        return 1.0
    second, first = np.partition(probabilities, -2)[-2:]
    return float(first - second)
