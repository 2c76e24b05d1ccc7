"""How much a node computes, in multiply-accumulates: what cuts are chosen by where nothing was measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from onnx import NodeProto, helper

Shape = tuple[int, ...]


def macs(node: NodeProto, shapes: Mapping[str, Shape]) -> int:
    """Multiply-accumulates of one node; an operator that only touches values counts as one per value it makes.

    Args:
        node: of the graph.
        shapes: of its inputs, weights included, and outputs; what is missing counts as empty.
    """
    taken = [shapes.get(name, ()) for name in node.input]
    made = sum(math.prod(shapes[name]) for name in node.output if name in shapes)
    count = COUNTS.get(node.op_type)
    return made if count is None else count(node, taken, made)


def _convolution(node: NodeProto, taken: Sequence[Shape], made: int) -> int:
    weight = taken[WEIGHT_INPUT.get(node.op_type, 1)]
    return made * math.prod(weight[1:])  # (out, in / group, kernel...)


def _transposed(node: NodeProto, taken: Sequence[Shape], made: int) -> int:
    return math.prod(taken[0]) * math.prod(taken[1][1:])  # (in, out / group, kernel...)


def _matmul(node: NodeProto, taken: Sequence[Shape], made: int) -> int:
    return made * (taken[0][-1] if taken[0] else 1)


def _gemm(node: NodeProto, taken: Sequence[Shape], made: int) -> int:
    transposed = any(item.name == "transA" and item.i for item in node.attribute)
    return made * (taken[0][0 if transposed else -1] if taken[0] else 1)


def _einsum(node: NodeProto, taken: Sequence[Shape], made: int) -> int:
    """Product of the sizes of all distinct letters."""
    equation = next(helper.get_attribute_value(item) for item in node.attribute if item.name == "equation").decode()
    terms = equation.replace(" ", "").partition("->")[0].split(",")
    if "." in equation:
        return made * (taken[0][-1] if taken[0] else 1)
    sizes = {
        letter: size
        for term, shape in zip(terms, taken, strict=True)
        for letter, size in zip(term, shape, strict=False)
    }
    return math.prod(sizes.values())


def _recurrent(node: NodeProto, taken: Sequence[Shape], made: int) -> int:
    """Every step multiplies with all input and recurrent weights."""
    steps_and_rows = math.prod(taken[0][:2])
    return steps_and_rows * (math.prod(taken[1]) + math.prod(taken[2]))


WEIGHT_INPUT = {"QLinearConv": 3}

COUNTS: dict[str, Callable[[NodeProto, Sequence[Shape], int], int]] = {
    "Conv": _convolution,
    "ConvInteger": _convolution,
    "QLinearConv": _convolution,
    "ConvTranspose": _transposed,
    "MatMul": _matmul,
    "MatMulInteger": _matmul,
    "QLinearMatMul": _matmul,
    "Gemm": _gemm,
    "Einsum": _einsum,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "RNN": _recurrent,
}
