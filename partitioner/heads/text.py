"""Token states (batch, tokens, features) beside a mask (batch, tokens): the mean over the tokens that it keeps."""

from __future__ import annotations

from collections.abc import Sequence

from onnx import NodeProto, TensorProto, helper

from partitioner.heads.base import floating, state_width
from split_core.tensors import TensorSpec

CODES = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "float64": TensorProto.DOUBLE}


class TextHead:
    """See `Head`."""

    def features(self, tensors: Sequence[TensorSpec]) -> int | None:
        """See `Head.features`."""
        return state_width(tensors) if _mask(tensors) else None

    def pool(self, tensors: Sequence[TensorSpec], made: str, opset: int) -> list[NodeProto]:
        """See `Head.pool`.  One matrix product adds up the kept tokens: (1, tokens) times (tokens, features)."""
        states, mask = floating(tensors, 3), _mask(tensors)
        if states is None or mask is None:
            raise ValueError("a text head needs token states and a mask")
        row, count = f"{made}/mask", f"{made}/count"
        return [
            helper.make_node("Flatten", [mask.name], [f"{row}/flat"]),
            helper.make_node("Cast", [f"{row}/flat"], [f"{row}/cast"], to=CODES[states.dtype]),
            *_axis_1(row, count, CODES[states.dtype]),
            helper.make_node("MatMul", [row, states.name], [f"{made}/sum"]),
            helper.make_node("Div", [f"{made}/sum", count], [f"{made}/mean"]),
            helper.make_node("Flatten", [f"{made}/mean"], [made]),
        ]


def _axis_1(row: str, count: str, code: int) -> list[NodeProto]:
    """The mask as (batch, 1, tokens), and how many tokens it keeps as (batch, 1, 1), at least one."""
    one = helper.make_tensor(f"{row}/axis", TensorProto.INT64, [1], [1])
    last = helper.make_tensor(f"{row}/last", TensorProto.INT64, [1], [-1])
    least = helper.make_tensor(f"{count}/one", code, [], [1.0])  # a sample whose mask keeps nothing divides by one
    return [
        helper.make_node("Constant", [], [f"{count}/one"], value=least),
        helper.make_node("Constant", [], [f"{row}/axis"], value=one),
        helper.make_node("Constant", [], [f"{row}/last"], value=last),
        helper.make_node("Unsqueeze", [f"{row}/cast", f"{row}/axis"], [row]),
        helper.make_node("ReduceSum", [row, f"{row}/last"], [f"{count}/kept"], keepdims=1),
        helper.make_node("Max", [f"{count}/kept", f"{count}/one"], [count]),
    ]


def _mask(tensors: Sequence[TensorSpec]) -> TensorSpec | None:
    """The truth values, or the integers that are called a mask, of which there is one per token.

    Token ids have that shape too, and are none.  Axes of one between batch and tokens do not matter.
    """
    states = floating(tensors, 3)
    if states is None:
        return None
    masks = (spec for spec in tensors if spec.dtype == "bool" or ("int" in spec.dtype and "mask" in spec.name))
    return next((spec for spec in masks if [size for size in spec.row_shape if size != 1] == [states.shape[1]]), None)
