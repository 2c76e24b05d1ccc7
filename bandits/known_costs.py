"""What a replayed device knows of its costs.

Device times, sizes and prices it knows; of a link that changes it knows what its own offloads told it, so that a
policy which stops offloading does not see the link recover, as on a camera.
"""

from __future__ import annotations

import numpy as np

from bandits.link_estimate import LinkModel
from bandits.path_model import PathModel
from bandits.policy import Costs
from split_core.tensors import FloatArray


class KnownCosts:
    """Costs of one phase as its policy is told them.

    Args:
        model: what they really are.
        cut_ms, sizes: (K,) means over the phase of shipping from each cut, and bytes.
        link: what the device believes of the link; None where it never changes, and is known.
    """

    def __init__(self, model: PathModel, cut_ms: FloatArray, sizes: FloatArray, link: LinkModel | None) -> None:
        self._model, self._sizes, self._link = model, sizes, link
        self._fixed_ms = model.fixed_ms
        self.costs: Costs = (
            model.costs_at(cut_ms + model.mean_residual_ms, sizes) if link is None else self._believed(link)
        )

    def offloaded(self, payload_bytes: float, link_ms: float) -> bool:
        """One offload came back, in time or not; are the costs other ones now?"""
        if self._link is None:
            return False
        self._link.observe(int(payload_bytes), link_ms)
        self.costs = self._believed(self._link)
        return True

    def _believed(self, link: LinkModel) -> Costs:
        link_ms = np.array([link.ms(size) for size in self._sizes])
        return self._model.costs_at(self._fixed_ms + link_ms, self._sizes)
