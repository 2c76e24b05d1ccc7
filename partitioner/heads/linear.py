"""The pooled state through one linear layer: the cheapest head, and the default."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from partitioner.heads.trainable import Layers, Parameters, Pooled, Tensor, Values, folded, gemm


class LinearHead(Pooled):
    """See `TrainableHead`."""

    def start(self, features: int, classes: int, rng: np.random.Generator) -> Parameters:
        """See `TrainableHead.start`.  Zeros: the problem is convex, and any start leads to the same place."""
        return {"weight": np.zeros((features, classes), np.float32), "bias": np.zeros(classes, np.float32)}

    def forward(self, parameters: Mapping[str, Tensor], features: Tensor) -> Tensor:
        """See `TrainableHead.forward`."""
        return torch.addmm(parameters["bias"], features, parameters["weight"])

    def folded(self, parameters: Parameters, mean: Values, scale: Values) -> Parameters:
        """See `TrainableHead.folded`."""
        weight, bias = folded(parameters["weight"], parameters["bias"], mean, scale)
        return {"weight": weight, "bias": bias}

    def layers(self, parameters: Parameters, taken: str, made: str) -> Layers:
        """See `TrainableHead.layers`."""
        names = {name: f"{made}.{name}" for name in ("weight", "bias")}
        node = gemm(taken, names["weight"], names["bias"], made)
        return [node], {names[name]: parameters[name] for name in names}
