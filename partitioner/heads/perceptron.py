"""Two layers behind the pooling: what most heads with a hidden layer are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
import torch
from onnx import helper

from partitioner.heads.trainable import Layers, Parameters, Tensor, Values, folded, gemm


class Perceptron(ABC):
    """See `TrainableHead`.  logits = f(x W + b) V + c; a head says f, and where training begins.

    Attributes:
        activation: f, as ONNX calls it and, in small letters, torch.
    """

    activation = "Relu"

    @abstractmethod
    def start(self, features: int, classes: int, rng: np.random.Generator) -> Parameters:
        """See `TrainableHead.start`; made by `two_layers`."""

    def forward(self, parameters: Mapping[str, Tensor], features: Tensor) -> Tensor:
        """See `TrainableHead.forward`."""
        inner = torch.addmm(parameters["inner.bias"], features, parameters["inner.weight"])
        return torch.addmm(parameters["bias"], getattr(torch, self.activation.lower())(inner), parameters["weight"])

    def folded(self, parameters: Parameters, mean: Values, scale: Values) -> Parameters:
        """See `TrainableHead.folded`."""
        weight, bias = folded(parameters["inner.weight"], parameters["inner.bias"], mean, scale)
        return {**parameters, "inner.weight": weight, "inner.bias": bias}

    def layers(self, parameters: Parameters, taken: str, made: str) -> Layers:
        """See `TrainableHead.layers`."""
        inner, active = f"{made}.inner", f"{made}.active"
        nodes = [
            gemm(taken, f"{made}.inner.weight", f"{made}.inner.bias", inner),
            helper.make_node(self.activation, [inner], [active]),
            gemm(active, f"{made}.weight", f"{made}.bias", made),
        ]
        return nodes, {f"{made}.{name}": value for name, value in parameters.items()}


def two_layers(inner: Values, outer: Values) -> Parameters:
    """Parameters of a perceptron with these weights, (F, H) and (H, C), and biases of zero."""
    return {
        "inner.weight": inner,
        "inner.bias": np.zeros(inner.shape[1], np.float32),
        "weight": outer,
        "bias": np.zeros(outer.shape[1], np.float32),
    }
