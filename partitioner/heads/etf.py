"""A trained adapter before a classifier that is not trained: a simplex equiangular tight frame."""

from __future__ import annotations

import numpy as np

from partitioner.heads.perceptron import Perceptron, two_layers
from partitioner.heads.trainable import Parameters, Pooled, Values, random_weight

WIDTH = 64  # of the adapter, or the number of classes where that is greater


def tight_frame(width: int, classes: int, rng: np.random.Generator) -> Values:
    """M = sqrt(C / (C - 1)) U (I - 11' / C), U (width, C) with orthonormal columns: (width, C) float32.

    Columns have length 1, and the product of any two is -1 / (C - 1): as far apart as C directions can be.

    Args:
        width: at least `classes`.
        classes: C, at least 2.
        rng: turns the frame.

    Source: Papyan, Han, Donoho 2020, "Prevalence of neural collapse", definition of the simplex ETF.
    """
    turned, _ = np.linalg.qr(rng.normal(size=(width, classes)))
    frame = np.sqrt(classes / (classes - 1)) * turned @ (np.eye(classes) - 1.0 / classes)
    return np.asarray(frame, np.float32)


class EtfHead(Perceptron, Pooled):
    """See `TrainableHead`.

    Every exit's classes point in the same fixed way, and only the adapter learns to turn states there.
    """

    fixed = frozenset({"weight", "bias"})

    def start(self, features: int, classes: int, rng: np.random.Generator) -> Parameters:
        """See `TrainableHead.start`."""
        width = max(WIDTH, classes)
        frame = tight_frame(width, classes, rng)
        return two_layers(random_weight(features, width, rng), frame)
