"""The network's own answers: no labels, so that whoever has inputs can train exits."""

from __future__ import annotations

from torch.nn import functional

from partitioner.train.targets.base import Softness, Tensor


class SelfXit:
    """See `Target`.  L = -sum_c q_c ln softmax(z)_c with q = softmax of the final exit, the mean over samples.

    Source: SelfXit (KhademSohi et al.): exits learn the backbone's outputs, without supervision.  That the
    whole distribution is learned, and not only its largest class, is our choice.
    """

    needs_labels = False

    def __init__(self, softness: Softness) -> None:
        pass

    def loss(self, logits: Tensor, final: Tensor, labels: Tensor) -> Tensor:
        """See `Target.loss`."""
        return functional.cross_entropy(logits, final.softmax(1))
