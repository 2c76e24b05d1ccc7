"""Pieces that are hard on an engine: several inputs, tokens, masks that pass through, values nobody needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, TensorProto, helper, numpy_helper

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def model(nodes: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any], **weights: np.ndarray) -> bytes:
    """Serialised, with opset and IR version of our bundles."""
    graph = helper.make_graph(
        nodes, "piece", inputs, outputs, [numpy_helper.from_array(value, name) for name, value in weights.items()]
    )
    made: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return made.SerializeToString()


def value(name: str, dtype: int, *shape: int | str | None) -> Any:
    return helper.make_tensor_value_info(name, dtype, shape)


def encoder(rng: np.random.Generator) -> bytes:
    """Tokens and a mask to embeddings; the mask crosses the next cut unchanged, `unused` goes nowhere."""
    return model(
        [
            helper.make_node("Gather", ["table", "tokens"], ["words"]),
            helper.make_node("Cast", ["mask"], ["weight"], to=FLOAT),
            helper.make_node("Unsqueeze", ["weight", "last"], ["column"]),
            helper.make_node("Mul", ["words", "column"], ["hidden"]),
            helper.make_node("ArgMax", ["hidden"], ["loudest"], axis=2, keepdims=0),
            helper.make_node("Not", ["mask"], ["padding"]),
        ],
        [
            value("tokens", INT64, "batch", "sequence"),
            value("mask", BOOL, "batch", "sequence"),
            value("unused", FLOAT, "batch", 3),
        ],
        [
            value("hidden", FLOAT, "batch", "sequence", 5),
            value("mask", BOOL, "batch", "sequence"),
            value("loudest", INT64, "batch", "sequence"),
            value("padding", BOOL, "batch", "sequence"),
        ],
        table=rng.normal(size=(11, 5)).astype(np.float32),
        last=np.array([2]),
    )


def encoder_feeds(rng: np.random.Generator, batch: int, sequence: int) -> list[np.ndarray]:
    tokens = rng.integers(0, 11, (batch, sequence))
    return [tokens, rng.random((batch, sequence)) < 0.7, rng.normal(size=(batch, 3)).astype(np.float32)]


def linear(rng: np.random.Generator, dtype: type = np.float32) -> bytes:
    """(batch, 4) to (batch, 3), in this dtype inside and float32 outside."""
    inside = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return model(
        [
            helper.make_node("Cast", ["x"], ["a"], to=inside),
            helper.make_node("MatMul", ["a", "w"], ["b"]),
            helper.make_node("Cast", ["b"], ["y"], to=FLOAT),
        ],
        [value("x", FLOAT, "batch", 4)],
        [value("y", FLOAT, "batch", 3)],
        w=rng.normal(size=(4, 3)).astype(dtype),
    )


def quantised(rng: np.random.Generator) -> bytes:
    """(batch, 4) to (batch, 3) with int8 weights behind a DequantizeLinear."""
    return model(
        [
            helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["w"]),
            helper.make_node("MatMul", ["x", "w"], ["y"]),
        ],
        [value("x", FLOAT, "batch", 4)],
        [value("y", FLOAT, "batch", 3)],
        q=rng.integers(-100, 100, (4, 3)).astype(np.int8),
        scale=np.array(0.01, np.float32),
        zero=np.array(0, np.int8),
    )


def said_by_onnxruntime(content: bytes, feeds: Sequence[np.ndarray]) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(None, dict(zip([item.name for item in session.get_inputs()], feeds, strict=True)))


def with_weights_outside(rng: np.random.Generator, folder: Path) -> bytes:
    """`linear` with its weights in `folder`, in a file of their own."""
    whole = onnx.load_from_string(linear(rng))
    onnx.external_data_helper.convert_model_to_external_data(whole, location="piece.weights", size_threshold=0)
    onnx.save(whole, folder / "piece.onnx")
    return (folder / "piece.onnx").read_bytes()
