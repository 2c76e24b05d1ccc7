"""The first token's state through a dense layer with tanh, then one linear layer: BERT's own way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from onnx import NodeProto, TensorProto, helper

from partitioner.heads.base import floating, state_width
from partitioner.heads.trainable import Layers, Parameters, Tensor, Values, folded, gemm, random_weight
from split_core.tensors import TensorSpec


class TextPoolerHead:
    """See `TrainableHead`.

    Source: Xin et al. 2020, "DeeBERT": every exit has a pooler and a linear layer of its own.
    """

    fixed: frozenset[str] = frozenset()

    def features(self, tensors: Sequence[TensorSpec]) -> int | None:
        """See `TrainableHead.features`."""
        return state_width(tensors)

    def pool(self, tensors: Sequence[TensorSpec], made: str, opset: int) -> list[NodeProto]:
        """See `TrainableHead.pool`."""
        states = floating(tensors, 3)
        if states is None:
            raise ValueError("a text_pooler head needs token states")
        first = helper.make_tensor(f"{made}/first", TensorProto.INT64, [], [0])
        return [
            helper.make_node("Constant", [], [f"{made}/first"], value=first),
            helper.make_node("Gather", [states.name, f"{made}/first"], [made], axis=1),
        ]

    def gather(self, state: Tensor) -> Tensor:
        """See `TrainableHead.gather`."""
        return state[:, 0]

    def tied(self, mean: Values, scale: Values) -> tuple[Values, Values]:
        """See `TrainableHead.tied`."""
        return mean, scale

    def start(self, features: int, classes: int, rng: np.random.Generator) -> Parameters:
        """See `TrainableHead.start`.  Half the usual spread: tanh is to begin where it is nearly linear."""
        return {
            "pooler.weight": random_weight(features, features, rng) * np.float32(0.5),
            "pooler.bias": np.zeros(features, np.float32),
            "weight": np.zeros((features, classes), np.float32),
            "bias": np.zeros(classes, np.float32),
        }

    def forward(self, parameters: Mapping[str, Tensor], features: Tensor) -> Tensor:
        """See `TrainableHead.forward`."""
        pooled = torch.tanh(torch.addmm(parameters["pooler.bias"], features, parameters["pooler.weight"]))
        return torch.addmm(parameters["bias"], pooled, parameters["weight"])

    def folded(self, parameters: Parameters, mean: Values, scale: Values) -> Parameters:
        """See `TrainableHead.folded`."""
        weight, bias = folded(parameters["pooler.weight"], parameters["pooler.bias"], mean, scale)
        return {**parameters, "pooler.weight": weight, "pooler.bias": bias}

    def layers(self, parameters: Parameters, taken: str, made: str) -> Layers:
        """See `TrainableHead.layers`."""
        nodes = [
            gemm(taken, f"{made}.pooler.weight", f"{made}.pooler.bias", f"{made}.pooler"),
            helper.make_node("Tanh", [f"{made}.pooler"], [f"{made}.active"]),
            gemm(f"{made}.active", f"{made}.weight", f"{made}.bias", made),
        ]
        return nodes, {f"{made}.{name}": value for name, value in parameters.items()}
