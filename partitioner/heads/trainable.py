"""What a head must say that can be trained: how it pools, its layers in torch, and the same layers in ONNX.

Parameters are plain arrays by name, so that they can be kept in a file without pickle.  While a head is
fitted its features are standardised, (x - mean) / scale; `folded` moves that into the parameters, so that
the device computes nothing extra.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

from partitioner.heads import HEADS
from partitioner.heads.base import Head
from partitioner.heads.vision import channel_axis
from split_core.tensors import TensorSpec

Values = NDArray[np.float32]
Parameters = dict[str, Values]
Layers = tuple[list[NodeProto], Parameters]  # nodes, and the initializers that they take
Tensor = Any  # torch.Tensor; torch is imported only where one is made


class TrainableHead(Protocol):
    """Pools what crosses a cut to F features per sample, and makes C logits of them.

    Attributes:
        fixed: names of parameters that training leaves alone.
    """

    fixed: frozenset[str]

    def features(self, tensors: Sequence[TensorSpec]) -> int | None:
        """F; None when these tensors do not suit this head."""

    def pool(self, tensors: Sequence[TensorSpec], made: str, opset: int) -> list[NodeProto]:
        """Nodes that make `made` (batch, F) of tensors that suit."""

    def gather(self, state: Tensor) -> Tensor:
        """Features (N, F) of one hidden state, in torch: what `pool` makes of a cut that carries nothing else."""

    def tied(self, mean: Values, scale: Values) -> tuple[Values, Values]:
        """Mean and scale (F,) that `folded` can take, near those that were measured."""

    def start(self, features: int, classes: int, rng: np.random.Generator) -> Parameters:
        """Parameters before training."""

    def forward(self, parameters: Mapping[str, Tensor], features: Tensor) -> Tensor:
        """Logits (N, C) of features (N, F), in torch."""

    def folded(self, parameters: Parameters, mean: Values, scale: Values) -> Parameters:
        """Parameters that make of x what the given ones make of (x - mean) / scale."""

    def layers(self, parameters: Parameters, taken: str, made: str) -> Layers:
        """Nodes that make the logits `made` of the features `taken`; their weights are named after `made`."""


class Pooled:
    """The part of a head that pools as `offramp partition` does: by the first of `HEADS` that suits."""

    fixed: frozenset[str] = frozenset()

    def features(self, tensors: Sequence[TensorSpec]) -> int | None:
        """See `TrainableHead.features`."""
        found = _suiting(tensors)
        return found.features(tensors) if found else None

    def pool(self, tensors: Sequence[TensorSpec], made: str, opset: int) -> list[NodeProto]:
        """See `TrainableHead.pool`."""
        found = _suiting(tensors)
        if found is None:
            raise ValueError("no pooling suits these tensors")
        return found.pool(tensors, made, opset)

    def gather(self, state: Tensor) -> Tensor:
        """See `TrainableHead.gather`."""
        if state.ndim == 4:
            return state.mean([1, 2] if channel_axis(state_spec(state)) == 3 else [2, 3])
        return state.mean(1) if state.ndim == 3 else state.flatten(1)

    def tied(self, mean: Values, scale: Values) -> tuple[Values, Values]:
        """See `TrainableHead.tied`: every feature has its own."""
        return mean, scale


def _suiting(tensors: Sequence[TensorSpec]) -> Head | None:
    heads = (HEADS.load(name)() for name in HEADS)
    return next((head for head in heads if head.features(tensors) is not None), None)


def state_spec(state: Tensor, name: str = "state") -> TensorSpec:
    """What a bundle would say of a torch tensor whose leading axis is the batch."""
    return TensorSpec(name, str(state.dtype).removeprefix("torch."), (None, *map(int, state.shape[1:])))


def folded(weight: Values, bias: Values, mean: Values, scale: Values) -> tuple[Values, Values]:
    """Weight (F, H) and bias (H,) of the linear layer that takes x instead of (x - mean) / scale."""
    wide = weight.astype(np.float64) / scale.astype(np.float64)[:, None]
    return wide.astype(np.float32), (bias - mean.astype(np.float64) @ wide).astype(np.float32)


def gemm(taken: str, weight: str, bias: str, made: str) -> NodeProto:
    """A linear layer; the node has the name of what it makes."""
    return helper.make_node("Gemm", [taken, weight, bias], [made], name=made)


def random_weight(features: int, width: int, rng: np.random.Generator) -> Values:
    """(features, width), normal with variance 2 / features.

    Source: He et al. 2015, "Delving Deep into Rectifiers", equation 10.
    """
    return rng.normal(0.0, np.sqrt(2.0 / features), (features, width)).astype(np.float32)
