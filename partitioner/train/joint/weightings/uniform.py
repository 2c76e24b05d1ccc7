"""Every exit counts alike."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from partitioner.train.joint.weightings.base import Tensor


class Uniform:
    """See `Weighting`.  L = sum_k L_k.

    Source: MSDNet (Huang et al. 2018) and ElasticBERT (Liu et al. 2022), which add up; BranchyNet's w_k = 1.
    """

    def __init__(self, depths: Sequence[float]) -> None:
        self._ones = torch.ones(len(depths))

    def coefficients(self, elapsed: float) -> Tensor:
        """See `Weighting.coefficients`."""
        return self._ones

    def learned(self) -> list[Tensor]:
        """See `Weighting.learned`."""
        return []
