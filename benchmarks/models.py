"""Networks to measure with, made of random weights: no download, no torch."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from partitioner.build import Wish, partition
from partitioner.manifest import Identity
from partitioner.sources import read_network
from partitioner.verify import Trial
from split_core.preprocess import Preprocess

# Sandler et al. 2018, table 2: expansion, channels, repeats, stride.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
EXIT_AFTER = (2, 5, 9, 12, 15)  # inverted residual blocks, from 0
CLASSES = 1000


class MobileNetV2:
    """Builds the graph of a MobileNetV2 with five early exits, BatchNorm folded.

    Args:
        side: of the input in pixels; a multiple of 32.
        seed: of the weights.
    """

    def __init__(self, side: int = 224, seed: int = 0) -> None:
        self._side = side
        self._rng = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._count = 0

    def model(self) -> onnx.ModelProto:
        """The network: input `image` (N, 3, side, side), outputs hidden_1..5 and exit_1..6."""
        x, channels, size, block, exits = self._conv("image", 3, 32, 3, 2), 32, self._side // 2, 0, 0
        for expansion, made, repeats, stride in STAGES:
            for repeat in range(repeats):
                step = stride if repeat == 0 else 1
                size //= step
                name = f"hidden_{exits + 1}" if block in EXIT_AFTER else ""
                x = self._block(x, channels, made, expansion, step, name)
                channels = made
                if name:
                    exits += 1
                    self._outputs.append(_value(name, made, size, size))
                    self._exit(x, made, exits)
                block += 1
        self._exit(self._conv(x, channels, 1280, 1, 1), 1280, exits + 1)
        graph = helper.make_graph(
            self._nodes, "mobilenet_v2", [_value("image", 3, self._side, self._side)], self._outputs, self._weights
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)

    def _block(self, x: str, taken: int, made: int, expansion: int, stride: int, name: str) -> str:
        wide = taken * expansion
        y = self._conv(x, taken, wide, 1, 1) if expansion > 1 else x
        y = self._conv(y, wide, wide, 3, stride, groups=wide)
        residual = stride == 1 and taken == made
        y = self._conv(y, wide, made, 1, 1, active=False, name="" if residual else name)
        return self._add("Add", [x, y], name) if residual else y

    def _conv(
        self,
        x: str,
        taken: int,
        made: int,
        side: int,
        stride: int,
        *,
        groups: int = 1,
        active: bool = True,
        name: str = "",
    ) -> str:
        fan_in = taken // groups * side * side
        weight = self._weight(self._rng.normal(0, (2 / fan_in) ** 0.5, (made, taken // groups, side, side)))
        bias = self._weight(np.zeros(made))
        attributes = {"kernel_shape": [side] * 2, "strides": [stride] * 2, "pads": [side // 2] * 4, "group": groups}
        y = self._add("Conv", [x, weight, bias], "" if active else name, **attributes)
        return self._add("Clip", [y, self._scalar(0.0), self._scalar(6.0)], name) if active else y

    def _exit(self, x: str, channels: int, number: int) -> None:
        pooled = self._add("GlobalAveragePool", [x])
        flat = self._add("Flatten", [pooled])
        weight = self._weight(self._rng.normal(0, 0.1, (channels, CLASSES)))
        self._add("Gemm", [flat, weight, self._weight(np.zeros(CLASSES))], f"exit_{number}")
        self._outputs.append(_value(f"exit_{number}", CLASSES))

    def _add(self, kind: str, taken: list[str], name: str = "", **attributes: object) -> str:
        self._count += 1
        made = name or f"t{self._count}"
        self._nodes.append(helper.make_node(kind, taken, [made], **attributes))
        return made

    def _weight(self, values: np.ndarray) -> str:
        self._count += 1
        name = f"w{self._count}"
        self._weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def _scalar(self, value: float) -> str:
        return self._weight(np.array(value))


def _value(name: str, *shape: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])


def mobilenet_bundle(folder: Path, side: int = 224) -> Path:
    """A certified bundle of `MobileNetV2` in `folder`."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "mobilenet_v2.onnx"
        path.write_bytes(MobileNetV2(side).model().SerializeToString())
        identity = Identity(
            name="mobilenet_v2",
            version=str(side),
            preprocess=Preprocess(height=side, width=side, colour="rgb", mean=(0.5,), std=(0.5,)),
        )
        network = read_network(str(path))
        return partition(network, folder, identity=identity, wish=Wish(), trial=Trial(), clock=time.time)
