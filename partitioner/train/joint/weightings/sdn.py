"""Early exits come in slowly, each as far as it is deep."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from partitioner.train.joint.weightings.base import Tensor

LEAST = 0.01


class Sdn:
    """See `Weighting`.  L = L_K + sum_(k<K) tau_k(t) L_k with tau_k(t) = min(d_k, 0.01 + t d_k).

    t is the share of the epochs that are over, d_k the share of the network before exit k; in the paper the
    exits hang at 0.15, 0.30, ... 0.90 of the operations.

    Source: SDN (Kaya et al. 2019), section 4 and yigitcankaya/Shallow-Deep-Networks, the training that changes
    the network's weights.
    """

    def __init__(self, depths: Sequence[float]) -> None:
        self._most = torch.tensor(depths[:-1], dtype=torch.float32)

    def coefficients(self, elapsed: float) -> Tensor:
        """See `Weighting.coefficients`."""
        return torch.cat([torch.minimum(self._most, LEAST + elapsed * self._most), torch.ones(1)])

    def learned(self) -> list[Tensor]:
        """See `Weighting.learned`."""
        return []
