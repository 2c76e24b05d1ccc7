"""Feature maps by a learned mix of maximum and average over a coarse grid, then one linear layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from onnx import NodeProto, helper
from torch.nn import functional

from partitioner.heads.base import floating
from partitioner.heads.trainable import Layers, Parameters, Tensor, Values, folded, gemm, state_spec
from partitioner.heads.vision import channel_axis, map_sides
from split_core.tensors import TensorSpec

GRID = 4  # at most this many cells a side: where something is says more than how much of it there is


class MaxAverageHead:
    """See `TrainableHead`.

    logits = (a * max + (1 - a) * average) W + b, with the scalar a trained.  Features are the averages, then
    the maxima.  On the device both lie in one product: [average, max] [(1 - a) W; a W] + b.

    Source: the internal classifier of Kaya et al. 2019, "Shallow-Deep Networks"; the grid's size is ours.
    """

    fixed: frozenset[str] = frozenset()

    def features(self, tensors: Sequence[TensorSpec]) -> int | None:
        """See `TrainableHead.features`; None for maps whose size is not fixed."""
        sides = map_sides(tensors)
        if sides is None:
            return None
        channels, height, width = sides
        return 2 * channels * _cells(height) * _cells(width)

    def pool(self, tensors: Sequence[TensorSpec], made: str, opset: int) -> list[NodeProto]:
        """See `TrainableHead.pool`."""
        maps, sides = floating(tensors, 4), map_sides(tensors)
        if maps is None or sides is None:
            raise ValueError("a max_average head needs feature maps of a fixed size")
        first, nodes = f"{made}/maps", []
        if channel_axis(maps) == 3:
            nodes = [helper.make_node("Transpose", [maps.name], [first], perm=[0, 3, 1, 2])]
        taken = first if nodes else maps.name
        sizes = [side // _cells(side) for side in sides[1:]]
        for kind in ("Average", "Max"):
            cells = f"{made}/{kind.lower()}"
            nodes.append(helper.make_node(f"{kind}Pool", [taken], [f"{cells}/grid"], kernel_shape=sizes, strides=sizes))
            nodes.append(helper.make_node("Flatten", [f"{cells}/grid"], [cells]))
        return [*nodes, helper.make_node("Concat", [f"{made}/average", f"{made}/max"], [made], axis=1)]

    def gather(self, state: Tensor) -> Tensor:
        """See `TrainableHead.gather`."""
        maps = state.permute(0, 3, 1, 2) if channel_axis(state_spec(state)) == 3 else state
        sizes = [int(side) // _cells(int(side)) for side in maps.shape[2:]]
        grids = (functional.avg_pool2d(maps, sizes), functional.max_pool2d(maps, sizes))
        return torch.cat([grid.flatten(1) for grid in grids], 1)

    def tied(self, mean: Values, scale: Values) -> tuple[Values, Values]:
        """See `TrainableHead.tied`: average and maximum of a cell share theirs, or the mix would be another."""
        means, squares = mean.reshape(2, -1), scale.reshape(2, -1) ** 2
        middle = means.mean(0)
        spread = np.sqrt((squares + (means - middle) ** 2).mean(0))
        return np.tile(middle, 2), np.tile(spread, 2)

    def start(self, features: int, classes: int, rng: np.random.Generator) -> Parameters:
        """See `TrainableHead.start`."""
        return {
            "mix": np.full(1, 0.5, np.float32),
            "weight": np.zeros((features // 2, classes), np.float32),
            "bias": np.zeros(classes, np.float32),
        }

    def forward(self, parameters: Mapping[str, Tensor], features: Tensor) -> Tensor:
        """See `TrainableHead.forward`."""
        average, greatest = features.chunk(2, dim=1)
        mixed = parameters["mix"] * greatest + (1 - parameters["mix"]) * average
        return torch.addmm(parameters["bias"], mixed, parameters["weight"])

    def folded(self, parameters: Parameters, mean: Values, scale: Values) -> Parameters:
        """See `TrainableHead.folded`."""
        half = len(mean) // 2
        weight, bias = folded(parameters["weight"], parameters["bias"], mean[:half], scale[:half])
        return {**parameters, "weight": weight, "bias": bias}

    def layers(self, parameters: Parameters, taken: str, made: str) -> Layers:
        """See `TrainableHead.layers`."""
        mix, weight = parameters["mix"], parameters["weight"]
        both = np.concatenate([(1 - mix) * weight, mix * weight]).astype(np.float32)
        node = gemm(taken, f"{made}.weight", f"{made}.bias", made)
        return [node], {f"{made}.weight": both, f"{made}.bias": parameters["bias"]}


def _cells(side: int) -> int:
    """How many cells: the most, up to `GRID`, that a side can be divided into evenly."""
    return next(count for count in range(min(GRID, side), 0, -1) if side % count == 0)
