"""States (batch, positions, features), of tokens, patches or time steps: the mean over positions."""

from __future__ import annotations

from collections.abc import Sequence

from onnx import NodeProto

from partitioner.heads.base import floating, mean, state_width
from split_core.tensors import TensorSpec


class SequenceHead:
    """See `Head`."""

    def features(self, tensors: Sequence[TensorSpec]) -> int | None:
        """See `Head.features`."""
        return state_width(tensors)

    def pool(self, tensors: Sequence[TensorSpec], made: str, opset: int) -> list[NodeProto]:
        """See `Head.pool`."""
        states = floating(tensors, 3)
        if states is None:
            raise ValueError("a sequence head needs states (batch, positions, features)")
        return mean(states.name, made, [1], opset)
