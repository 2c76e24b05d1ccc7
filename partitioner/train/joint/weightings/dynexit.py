"""The weights are learned beside the network."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from partitioner.train.joint.weightings.base import Tensor


class DynExit:
    """See `Weighting`.  L = sum_k s(w_k) L_k / sum_k s(w_k), s the logistic function, w_k learned from 0.

    Divided by their sum, or all weights would fall to 0.  The gradient of w_k has the sign of L_k - L, so weights
    move to the exits that are better than the average, as a rule the deeper ones.

    Source: DynExit (Wang et al. 2019) as surveys tell it; the paper was not at hand, the division is the survey's.
    """

    def __init__(self, depths: Sequence[float]) -> None:
        self._raw = torch.zeros(len(depths), requires_grad=True)

    def coefficients(self, elapsed: float) -> Tensor:
        """See `Weighting.coefficients`."""
        weights = torch.sigmoid(self._raw)
        return weights / weights.sum()

    def learned(self) -> list[Tensor]:
        """See `Weighting.learned`."""
        return [self._raw]
