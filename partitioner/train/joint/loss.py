"""One number to descend: the exits' losses, weighted and added up."""

from __future__ import annotations

from collections.abc import Sequence

from torch.nn import functional

from partitioner.train.targets.base import Target, Tensor


def joint_loss(logits: Sequence[Tensor], labels: Tensor, coefficients: Tensor, target: Target) -> Tensor:
    """c_K CE(y, z_K) + sum_(k<K) c_k T(z_k, z_K, y), with the final logits z_K taken as given in T.

    Args:
        logits: (N, C) of every exit, the final one last.
        labels: (N,) int64.
        coefficients: (K,).
        target: T; `labels` is the cross-entropy too, the others distil from the final exit as it learns.

    Source: the joint training of BranchyNet (2016) and MSDNet (2018); with a distilling target, the
    self-distillation of Phuong and Lampert 2019, where the teacher takes no gradient from its pupils.
    """
    *early, final = logits
    total = coefficients[-1] * functional.cross_entropy(final, labels)
    for coefficient, one in zip(coefficients[:-1], early, strict=True):
        total = total + coefficient * target.loss(one, final.detach(), labels)
    return total


def final_only(way: str, step: int) -> bool:
    """Whether a step, counted from 1 over the whole training, is the final exit's alone.

    Source: BERxiT (Xin et al. 2021), alternating training: odd steps L_K, even steps all exits.
    """
    return way == "alternating" and step % 2 == 1
