"""The first token's state through a dense layer with tanh, then one linear layer: BERT's own way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import NodeProto, TensorProto, helper

from partitioner.heads.base import floating, state_width
from partitioner.heads.perceptron import Perceptron, two_layers
from partitioner.heads.trainable import Parameters, Tensor, Values, random_weight
from split_core.tensors import TensorSpec


class TextPoolerHead(Perceptron):
    """See `TrainableHead`.

    Source: Xin et al. 2020, "DeeBERT": every exit has a pooler and a linear layer of its own.
    """

    activation = "Tanh"
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
        inner = random_weight(features, features, rng) * np.float32(0.5)
        return two_layers(inner, np.zeros((features, classes), np.float32))
