"""The labels, and the final exit's softened distribution beside them."""

from __future__ import annotations

from torch.nn import functional

from partitioner.train.targets.base import Softness, Tensor


class Distilled:
    """See `Target`.  L = (1 - m) CE(y, z) + m T^2 KL(softmax(f / T) || softmax(z / T)), f the final logits.

    Source: Phuong and Lampert 2019, "Distillation-based training for multi-exit architectures": the last exit
    teaches the earlier ones; T^2 keeps gradients comparable (Hinton et al. 2015).  Without their annealing.
    """

    needs_labels = True

    def __init__(self, softness: Softness) -> None:
        self._softness = softness

    def loss(self, logits: Tensor, final: Tensor, labels: Tensor) -> Tensor:
        """See `Target.loss`."""
        heat, mix = self._softness.temperature, self._softness.mix
        student, teacher = (logits / heat).log_softmax(1), (final / heat).log_softmax(1)
        divergence = functional.kl_div(student, teacher, reduction="batchmean", log_target=True)
        return (1 - mix) * functional.cross_entropy(logits, labels) + mix * heat**2 * divergence
