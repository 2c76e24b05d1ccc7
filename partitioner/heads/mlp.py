"""The pooled state through a small perceptron: one hidden layer, for states that no plane separates."""

from __future__ import annotations

import numpy as np

from partitioner.heads.perceptron import Perceptron, two_layers
from partitioner.heads.trainable import Parameters, Pooled, random_weight

WIDTH = 64  # of the hidden layer


class MlpHead(Perceptron, Pooled):
    """See `TrainableHead`."""

    def start(self, features: int, classes: int, rng: np.random.Generator) -> Parameters:
        """See `TrainableHead.start`."""
        return two_layers(random_weight(features, WIDTH, rng), np.zeros((WIDTH, classes), np.float32))
