"""The network's own answers once more, with the divergence the other way round."""

from __future__ import annotations

from torch.nn import functional

from partitioner.train.targets.base import Softness, Tensor


class FastBert:
    """See `Target`.  L = KL(softmax(z) || softmax(f)) = sum_c p_c ln(p_c / q_c), the mean over samples.

    The exit is punished for what it believes and the final exit does not, so it rather settles on one class.

    Source: Liu et al. 2020, "FastBERT", self-distillation; no labels.
    """

    needs_labels = False

    def __init__(self, softness: Softness) -> None:
        pass

    def loss(self, logits: Tensor, final: Tensor, labels: Tensor) -> Tensor:
        """See `Target.loss`."""
        return functional.kl_div(final.log_softmax(1), logits.log_softmax(1), reduction="batchmean", log_target=True)
