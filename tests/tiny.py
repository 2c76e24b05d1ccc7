"""A network small enough for every test: three segments, exits that really work, more so with depth.

It tells which quadrant of an 8x8 gray image is brightest (4 classes).  Input `image` (N, 1, 8, 8)
float32, outputs `hidden_1` (N, 4, 8, 8), `hidden_2` (N, 6, 4, 4) and `exit_1` ... `exit_3` (N, 4).
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from partitioner.manifest import Identity
from split_core.preprocess import Preprocess

LABELS = ("top left", "top right", "bottom left", "bottom right")
PREPROCESS = Preprocess(height=8, width=8, colour="gray", mean=(0.5,), std=(0.25,))
IDENTITY = Identity(name="tiny", labels=LABELS, preprocess=PREPROCESS)
EXITS = 3
HEAD_NOISE = (0.7, 0.2, 0.02)  # of exits 1..3: about 65 %, 78 % and 88 % right on `tiny_samples`


def tiny_model() -> onnx.ModelProto:
    """The network, with weights from a fixed seed."""
    rng = np.random.default_rng(20)
    weights = {
        "conv_1.weight": _spread(rng, 4, 1),
        "conv_1.bias": np.full(4, 0.5),
        "conv_2.weight": _spread(rng, 4, 4),
        "conv_2.bias": np.zeros(4),
        "conv_3.weight": _spread(rng, 6, 4),
        "conv_3.bias": np.zeros(6),
        **_head(rng, 1, 4),
        **_head(rng, 2, 6),
        **_head(rng, 3, 6),
    }
    nodes = [
        _conv(1, "image", "a_1"),
        helper.make_node("Relu", ["a_1"], ["hidden_1"]),
        *_exit(1, "hidden_1", side=4),
        _conv(2, "hidden_1", "a_2"),
        helper.make_node("Add", ["a_2", "hidden_1"], ["b_2"]),
        helper.make_node("Relu", ["b_2"], ["c_2"]),
        _conv(3, "c_2", "d_2"),
        helper.make_node("Relu", ["d_2"], ["e_2"]),
        helper.make_node("AveragePool", ["e_2"], ["hidden_2"], kernel_shape=[2, 2], strides=[2, 2]),
        *_exit(2, "hidden_2", side=2),
        helper.make_node("Sigmoid", ["hidden_2"], ["gate"]),
        helper.make_node("Mul", ["gate", "hidden_2"], ["f_3"]),
        *_exit(3, "f_3", side=2),
    ]
    outputs = [_value("hidden_1", 4, 8, 8), _value("hidden_2", 6, 4, 4), *(_value(f"exit_{k}", 4) for k in (1, 2, 3))]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [_value("image", 1, 8, 8)],
        outputs,
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def tiny_samples(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, 8, 8, 1) uint8 and labels (count,) int64: one quadrant is brighter, under noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, count)
    images = rng.normal(110, 45, (count, 8, 8))
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 2)
        image[4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 30
    return images.clip(0, 255).astype(np.uint8)[..., None], labels.astype(np.int64)


def _value(name: str, *shape: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])


def _conv(number: int, taken: str, made: str) -> onnx.NodeProto:
    weights = [f"conv_{number}.weight", f"conv_{number}.bias"]
    return helper.make_node("Conv", [taken, *weights], [made], kernel_shape=[3, 3], pads=[1, 1, 1, 1])


def _spread(rng: np.random.Generator, made: int, taken: int) -> np.ndarray:
    """(made, taken, 3, 3): some noise, and a centre that passes brightness on."""
    weight = rng.normal(0.0, 0.05, (made, taken, 3, 3))
    weight[:, :, 1, 1] += 1.0 / taken
    return weight


def _head(rng: np.random.Generator, number: int, channels: int) -> dict[str, np.ndarray]:
    """Linear weights (channels * 4, 4): each class looks at its own quadrant, more or less."""
    right = np.tile(np.eye(4), (channels, 1)) / channels
    wrong = rng.normal(0.0, HEAD_NOISE[number - 1], right.shape) / channels
    return {f"head_{number}.weight": 6 * (right + wrong), f"head_{number}.bias": np.zeros(4)}


def _exit(number: int, taken: str, side: int) -> list[onnx.NodeProto]:
    """Mean of each quadrant, then one linear layer."""
    pool, flat = f"pool_{number}", f"flat_{number}"
    return [
        helper.make_node("AveragePool", [taken], [pool], kernel_shape=[side, side], strides=[side, side]),
        helper.make_node("Flatten", [pool], [flat]),
        helper.make_node("Gemm", [flat, f"head_{number}.weight", f"head_{number}.bias"], [f"exit_{number}"]),
    ]
