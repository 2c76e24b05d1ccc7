"""A deeper exit counts more."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from partitioner.train.joint.weightings.base import Tensor


class Depth:
    """See `Weighting`.  L = sum_k k L_k / sum_k k, with k the exit's number: depths are not looked at.

    Source: PABEE (Zhou et al. 2020), equation 3; counted from 1, as exits counted from 0 leave the first one out.
    """

    def __init__(self, depths: Sequence[float]) -> None:
        numbers = torch.arange(1, len(depths) + 1, dtype=torch.float32)
        self._shares = numbers / numbers.sum()

    def coefficients(self, elapsed: float) -> Tensor:
        """See `Weighting.coefficients`."""
        return self._shares

    def learned(self) -> list[Tensor]:
        """See `Weighting.learned`."""
        return []
