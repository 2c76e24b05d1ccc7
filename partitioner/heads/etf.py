"""A trained adapter before a classifier that is not trained: a simplex equiangular tight frame."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from onnx import helper

from partitioner.heads.trainable import Layers, Parameters, Pooled, Tensor, Values, folded, gemm, random_weight

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


class EtfHead(Pooled):
    """See `TrainableHead`.

    Every exit's classes point in the same fixed way, and only the adapter learns to turn states there.
    """

    fixed = frozenset({"frame"})

    def start(self, features: int, classes: int, rng: np.random.Generator) -> Parameters:
        """See `TrainableHead.start`."""
        width = max(WIDTH, classes)
        return {
            "frame": tight_frame(width, classes, rng),
            "adapter.weight": random_weight(features, width, rng),
            "adapter.bias": np.zeros(width, np.float32),
        }

    def forward(self, parameters: Mapping[str, Tensor], features: Tensor) -> Tensor:
        """See `TrainableHead.forward`."""
        adapted = torch.relu(torch.addmm(parameters["adapter.bias"], features, parameters["adapter.weight"]))
        return adapted @ parameters["frame"]

    def folded(self, parameters: Parameters, mean: Values, scale: Values) -> Parameters:
        """See `TrainableHead.folded`."""
        weight, bias = folded(parameters["adapter.weight"], parameters["adapter.bias"], mean, scale)
        return {**parameters, "adapter.weight": weight, "adapter.bias": bias}

    def layers(self, parameters: Parameters, taken: str, made: str) -> Layers:
        """See `TrainableHead.layers`."""
        nodes = [
            gemm(taken, f"{made}.adapter.weight", f"{made}.adapter.bias", f"{made}.adapter"),
            helper.make_node("Relu", [f"{made}.adapter"], [f"{made}.active"]),
            helper.make_node("MatMul", [f"{made}.active", f"{made}.frame"], [made], name=made),
        ]
        return nodes, {f"{made}.{name}": value for name, value in parameters.items()}
