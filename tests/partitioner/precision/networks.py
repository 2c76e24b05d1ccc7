"""Small networks whose pieces differ in what can be converted."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper


def model(
    nodes: list[NodeProto], weights: Mapping[str, np.ndarray], taken: tuple[int | str, ...], opset: int = 18
) -> ModelProto:
    """From `x` (batch, ...) to `y`, whatever its shape."""
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *taken])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    return onnx.shape_inference.infer_shapes(made)


def attention() -> ModelProto:
    """(batch, 8, 6): a residual block with layer normalisation, as transformers have it."""
    rng = np.random.default_rng(2)
    weights = {name: rng.normal(0, 0.4, (6, 6)) for name in ("query", "key", "value", "back")}
    weights |= {"scale": np.ones(6), "shift": rng.normal(0, 0.1, 6)}
    nodes = [
        helper.make_node("LayerNormalization", ["x", "scale", "shift"], ["n"]),
        *(helper.make_node("MatMul", ["n", name], [name[0]]) for name in ("query", "key", "value")),
        helper.make_node("Transpose", ["k"], ["kt"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["q", "kt"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["share"], axis=-1),
        helper.make_node("MatMul", ["share", "v"], ["mixed"]),
        helper.make_node("MatMul", ["mixed", "back"], ["told"]),
        helper.make_node("Add", ["x", "told"], ["y"]),
    ]
    return model(nodes, weights, (8, 6))


def normalised(opset: int = 18) -> ModelProto:
    """(batch, 3, 8, 8): a convolution, batch normalisation, a sum and a pool."""
    rng = np.random.default_rng(3)
    weights = {
        "w": rng.normal(0, 0.2, (3, 3, 3, 3)),
        "scale": rng.uniform(0.5, 2, 3),
        "shift": rng.normal(0, 1, 3),
        "mean": rng.normal(0, 1, 3),
        "var": rng.uniform(0.5, 2, 3),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["a", "scale", "shift", "mean", "var"], ["b"]),
        helper.make_node("Add", ["b", "x"], ["c"]),
        helper.make_node("Relu", ["c"], ["y"]),
    ]
    return model(nodes, weights, (3, 8, 8), opset)


def late() -> ModelProto:
    """(batch, 16): nothing but activations at first, a linear layer in the end."""
    nodes = [
        helper.make_node("Sigmoid", ["x"], ["s"]),
        helper.make_node("Tanh", ["s"], ["t"]),
        helper.make_node("Gemm", ["t", "w", "b"], ["y"]),
    ]
    rng = np.random.default_rng(5)
    return model(nodes, {"w": rng.normal(0, 1, (16, 4)), "b": rng.normal(0, 1, 4)}, (16,))


def skipping() -> ModelProto:
    """(batch, 3, 8, 8): its input is needed again in the end."""
    rng = np.random.default_rng(6)
    nodes = [
        helper.make_node("Conv", ["x", "first"], ["a"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Conv", ["r", "second"], ["b"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Concat", ["b", "x"], ["y"], axis=1),
    ]
    return model(nodes, {name: rng.normal(0, 0.2, (3, 3, 3, 3)) for name in ("first", "second")}, (3, 8, 8))
