"""Feature maps through a small convolution: where edges meet says more than how many there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from onnx import NodeProto, TensorProto, helper, numpy_helper
from torch.nn import functional

from partitioner.heads.base import floating
from partitioner.heads.trainable import Layers, Parameters, Tensor, Values, gemm, state_spec
from partitioner.heads.vision import channel_axis, map_sides
from split_core.tensors import Array, TensorSpec

GRID = 8  # cells a side: every map is brought to this size first, so that a head costs the same anywhere
WIDTH = 32  # channels of the convolution
HALF = GRID // 2


class ConvHead:
    """See `TrainableHead`.

    Averages over 8x8 cells (a smaller map's are repeated), 3x3 convolution, ReLU, maximum of 2x2, linear layer.

    Source: the branch of BranchyNet (Teerapittayanon et al. 2016): pool, 3x3 convolution, pool, linear; the
    sizes are ours.
    """

    fixed: frozenset[str] = frozenset()

    def features(self, tensors: Sequence[TensorSpec]) -> int | None:
        """See `TrainableHead.features`; None for maps whose size is not fixed."""
        sides = map_sides(tensors)
        return sides[0] * GRID * GRID if sides else None

    def pool(self, tensors: Sequence[TensorSpec], made: str, opset: int) -> list[NodeProto]:
        """See `TrainableHead.pool`.  Averages over cells are a product with a matrix from either side."""
        maps, sides = floating(tensors, 4), map_sides(tensors)
        if maps is None or sides is None:
            raise ValueError("a conv head needs feature maps of a fixed size")
        last, nodes = maps.name, []
        if channel_axis(maps) == 3:
            last = f"{made}/maps"
            nodes = [helper.make_node("Transpose", [maps.name], [last], perm=[0, 3, 1, 2])]
        rows, columns = (cell_means(side).astype(maps.dtype) for side in sides[1:])
        for name, value in (("rows", rows), ("columns", columns.T)):
            kept = numpy_helper.from_array(np.ascontiguousarray(value), f"{made}/{name}")
            nodes.append(helper.make_node("Constant", [], [f"{made}/{name}"], value=kept))
        return [
            *nodes,
            helper.make_node("MatMul", [f"{made}/rows", last], [f"{made}/lines"]),
            helper.make_node("MatMul", [f"{made}/lines", f"{made}/columns"], [f"{made}/cells"]),
            helper.make_node("Flatten", [f"{made}/cells"], [made]),
        ]

    def gather(self, state: Tensor) -> Tensor:
        """See `TrainableHead.gather`."""
        maps = state.permute(0, 3, 1, 2) if channel_axis(state_spec(state)) == 3 else state
        rows, columns = (torch.from_numpy(cell_means(int(side))) for side in maps.shape[2:])
        return (rows @ maps @ columns.T).flatten(1)

    def tied(self, mean: Values, scale: Values) -> tuple[Values, Values]:
        """See `TrainableHead.tied`: one scale per channel, and no shift, which the border's zeros would betray."""
        powers = (scale.astype(np.float64) ** 2 + mean.astype(np.float64) ** 2).reshape(-1, GRID * GRID).mean(1)
        return np.zeros_like(mean), np.repeat(np.sqrt(powers), GRID * GRID).astype(np.float32)

    def start(self, features: int, classes: int, rng: np.random.Generator) -> Parameters:
        """See `TrainableHead.start`.

        Source: He et al. 2015, "Delving Deep into Rectifiers", equation 10.
        """
        channels = features // GRID**2
        spread = np.sqrt(2.0 / (9 * channels))
        return {
            "conv.weight": rng.normal(0.0, spread, (WIDTH, channels, 3, 3)).astype(np.float32),
            "conv.bias": np.zeros(WIDTH, np.float32),
            "weight": np.zeros((WIDTH * HALF * HALF, classes), np.float32),
            "bias": np.zeros(classes, np.float32),
        }

    def forward(self, parameters: Mapping[str, Tensor], features: Tensor) -> Tensor:
        """See `TrainableHead.forward`."""
        maps = features.unflatten(1, (-1, GRID, GRID))
        active = torch.relu(functional.conv2d(maps, parameters["conv.weight"], parameters["conv.bias"], padding=1))
        return torch.addmm(parameters["bias"], functional.max_pool2d(active, 2).flatten(1), parameters["weight"])

    def folded(self, parameters: Parameters, mean: Values, scale: Values) -> Parameters:
        """See `TrainableHead.folded`."""
        weight = parameters["conv.weight"] / scale.reshape(1, -1, GRID * GRID)[:, :, :1, None]
        return {**parameters, "conv.weight": weight.astype(np.float32)}

    def layers(self, parameters: Parameters, taken: str, made: str) -> Layers:
        """See `TrainableHead.layers`."""
        shape = helper.make_tensor(
            f"{made}.shape", TensorProto.INT64, [4], [-1, len(parameters["conv.weight"][0]), GRID, GRID]
        )
        names = {name: f"{made}.{name}" for name in parameters}
        conv = [f"{made}.maps", names["conv.weight"], names["conv.bias"]]
        nodes = [
            helper.make_node("Constant", [], [f"{made}.shape"], value=shape),
            helper.make_node("Reshape", [taken, f"{made}.shape"], [f"{made}.maps"]),
            helper.make_node("Conv", conv, [f"{made}.conv"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", [f"{made}.conv"], [f"{made}.active"]),
            helper.make_node("MaxPool", [f"{made}.active"], [f"{made}.most"], kernel_shape=[2, 2], strides=[2, 2]),
            helper.make_node("Flatten", [f"{made}.most"], [f"{made}.flat"]),
            gemm(f"{made}.flat", names["weight"], names["bias"], made),
        ]
        return nodes, {names[name]: value for name, value in parameters.items()}


def cell_means(side: int) -> Array:
    """(GRID, side) float32: row i averages what cell i of G touches, floor(i s / G) to ceil((i + 1) s / G) - 1.

    Source: torch's AdaptiveAvgPool2d.
    """
    matrix = np.zeros((GRID, side), np.float32)
    for cell in range(GRID):
        first, end = cell * side // GRID, -(-(cell + 1) * side // GRID)
        matrix[cell, first:end] = 1.0 / (end - first)
    return matrix
