"""Distance between the two likeliest classes."""

from __future__ import annotations

import numpy as np

from split_core.criteria.base import Plain
from split_core.tensors import FloatArray


def margin(probabilities: FloatArray) -> float:
    """Largest minus second largest of the (C,) class probabilities; 1 when there is one class only."""
    if probabilities.size < 2:
        return 1.0
    second, first = np.partition(probabilities, -2)[-2:]
    return float(first - second)


class Margin(Plain):
    """Score p_1 - p_2, the two largest probabilities: exit when it is at least the threshold."""

    published = "exit when p_1 - p_2 >= threshold in [0, 1]; higher is surer; the score is the margin"

    def score(self, probabilities: FloatArray) -> float:
        """See `margin`."""
        return margin(probabilities)
