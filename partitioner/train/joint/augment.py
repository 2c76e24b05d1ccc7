"""Pictures moved and mirrored, so that the network sees none of them twice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from partitioner.train.joint.plan import Augmentation


def augmented(images: NDArray[np.uint8], plan: Augmentation, fill: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Copies of `images`, each cut out of its padded self and perhaps mirrored.

    Args:
        images: (N, H, W, C).
        plan: what to do.
        fill: value of the padding.
        rng: where to cut, and which to mirror.

    Source: random crop and flip as for CIFAR in He et al. 2016, "Deep residual learning", section 4.2.
    """
    count, height, width, _ = images.shape
    if plan.padding:
        edge = (plan.padding, plan.padding)
        wide = np.pad(images, ((0, 0), edge, edge, (0, 0)), constant_values=fill)
        top, left = rng.integers(0, 2 * plan.padding + 1, (2, count, 1))
        rows, columns = top + np.arange(height), left + np.arange(width)
        images = wide[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    if plan.flip:
        mirrored = np.asarray(rng.random(count) < 0.5)
        images = np.where(mirrored[:, None, None, None], images[:, :, ::-1], images)
    return images
