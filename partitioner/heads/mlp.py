"""The pooled state through a small perceptron: one hidden layer, for states that no plane separates."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from onnx import helper

from partitioner.heads.trainable import Layers, Parameters, Pooled, Tensor, Values, folded, gemm, random_weight

WIDTH = 64  # of the hidden layer


class MlpHead(Pooled):
    """See `TrainableHead`."""

    def start(self, features: int, classes: int, rng: np.random.Generator) -> Parameters:
        """See `TrainableHead.start`."""
        return {
            "inner.weight": random_weight(features, WIDTH, rng),
            "inner.bias": np.zeros(WIDTH, np.float32),
            "weight": np.zeros((WIDTH, classes), np.float32),
            "bias": np.zeros(classes, np.float32),
        }

    def forward(self, parameters: Mapping[str, Tensor], features: Tensor) -> Tensor:
        """See `TrainableHead.forward`."""
        inner = torch.relu(torch.addmm(parameters["inner.bias"], features, parameters["inner.weight"]))
        return torch.addmm(parameters["bias"], inner, parameters["weight"])

    def folded(self, parameters: Parameters, mean: Values, scale: Values) -> Parameters:
        """See `TrainableHead.folded`."""
        weight, bias = folded(parameters["inner.weight"], parameters["inner.bias"], mean, scale)
        return {**parameters, "inner.weight": weight, "inner.bias": bias}

    def layers(self, parameters: Parameters, taken: str, made: str) -> Layers:
        """See `TrainableHead.layers`."""
        inner, active = f"{made}.inner", f"{made}.active"
        nodes = [
            gemm(taken, f"{made}.inner.weight", f"{made}.inner.bias", inner),
            helper.make_node("Relu", [inner], [active]),
            gemm(active, f"{made}.weight", f"{made}.bias", made),
        ]
        return nodes, {f"{made}.{name}": value for name, value in parameters.items()}
