"""The labels: what separate training of exits has always done."""

from __future__ import annotations

from torch.nn import functional

from partitioner.train.targets.base import Softness, Tensor


class Labels:
    """See `Target`.  L = -ln softmax(z)_y, the mean over samples.

    Source: the exit loss of BranchyNet (Teerapittayanon et al. 2016), one exit at a time on a frozen network.
    """

    needs_labels = True

    def __init__(self, softness: Softness) -> None:
        pass

    def loss(self, logits: Tensor, final: Tensor, labels: Tensor) -> Tensor:
        """See `Target.loss`."""
        return functional.cross_entropy(logits, labels)
