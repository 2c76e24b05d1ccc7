"""One vector per sample already: (batch, features) as it is, anything else laid out flat."""

from __future__ import annotations

import math
from collections.abc import Sequence

from onnx import NodeProto, helper

from split_core.tensors import TensorSpec


class VectorHead:
    """See `Head`."""

    def features(self, tensors: Sequence[TensorSpec]) -> int | None:
        """See `Head.features`."""
        first = _first(tensors)
        fixed = [size for size in first.row_shape if isinstance(size, int)] if first else []
        return math.prod(fixed) if first and len(fixed) == len(first.row_shape) else None

    def pool(self, tensors: Sequence[TensorSpec], made: str, opset: int) -> list[NodeProto]:
        """See `Head.pool`."""
        first = _first(tensors)
        if first is None:
            raise ValueError("a vector head needs a floating point tensor")
        return [helper.make_node("Flatten", [first.name], [made])]


def _first(tensors: Sequence[TensorSpec]) -> TensorSpec | None:
    return next((spec for spec in tensors if spec.dtype.startswith("float")), None)
