"""What a head must say, and the node that most of them need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from onnx import NodeProto, TensorProto, helper

from split_core.tensors import TensorSpec

AXES_ARE_INPUTS = 18  # the first opset whose ReduceMean takes its axes as an input


class Head(Protocol):
    """Pools what crosses a cut to one vector per sample; a linear layer behind it makes the logits."""

    def features(self, tensors: Sequence[TensorSpec]) -> int | None:
        """Length of the vector; None when these tensors do not suit this head."""

    def pool(self, tensors: Sequence[TensorSpec], made: str, opset: int) -> list[NodeProto]:
        """Nodes that make `made` (batch, features) of tensors that suit."""


def mean(taken: str, made: str, axes: Sequence[int], opset: int) -> list[NodeProto]:
    """Nodes for the mean over `axes`, which go away."""
    if opset < AXES_ARE_INPUTS:
        return [helper.make_node("ReduceMean", [taken], [made], axes=list(axes), keepdims=0)]
    value = helper.make_tensor(f"{made}/axes", TensorProto.INT64, [len(axes)], list(axes))
    return [
        helper.make_node("Constant", [], [f"{made}/axes"], value=value),
        helper.make_node("ReduceMean", [taken, f"{made}/axes"], [made], keepdims=0),
    ]


def floating(tensors: Sequence[TensorSpec], rank: int) -> TensorSpec | None:
    """The first floating point tensor, when it has `rank` axes."""
    found = next((spec for spec in tensors if spec.dtype.startswith("float")), None)
    return found if found is not None and len(found.shape) == rank else None


def state_width(tensors: Sequence[TensorSpec]) -> int | None:
    """Features of the first floating point tensor when it is (batch, positions, features) with a fixed last axis."""
    states = floating(tensors, 3)
    width = states.shape[2] if states else None
    return width if isinstance(width, int) else None
