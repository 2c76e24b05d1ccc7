"""Feature maps (batch, channels, height, width), or with the channels last: the mean over space."""

from __future__ import annotations

from collections.abc import Sequence

from onnx import NodeProto

from partitioner.heads.base import floating, mean
from split_core.tensors import TensorSpec


class VisionHead:
    """See `Head`."""

    def features(self, tensors: Sequence[TensorSpec]) -> int | None:
        """See `Head.features`."""
        maps = floating(tensors, 4)
        channels = maps.shape[channel_axis(maps)] if maps else None
        return channels if isinstance(channels, int) else None

    def pool(self, tensors: Sequence[TensorSpec], made: str, opset: int) -> list[NodeProto]:
        """See `Head.pool`."""
        maps = floating(tensors, 4)
        if maps is None:
            raise ValueError("a vision head needs a feature map")
        return mean(maps.name, made, [1, 2] if channel_axis(maps) == 3 else [2, 3], opset)


def channel_axis(maps: TensorSpec) -> int:
    """3 when axes 1 and 2 look like the sides of a square map and the last does not; else 1, as torch has it."""
    _, first, second, last = maps.shape
    return 3 if first == second != last else 1


def map_sides(tensors: Sequence[TensorSpec]) -> tuple[int, int, int] | None:
    """Channels, height and width of the feature maps among these; None where there are none, or of no fixed size."""
    maps = floating(tensors, 4)
    if maps is None:
        return None
    axis = channel_axis(maps)
    sizes = [maps.shape[place] for place in (axis, *(place for place in (1, 2, 3) if place != axis))]
    fixed = [size for size in sizes if isinstance(size, int)]
    return (fixed[0], fixed[1], fixed[2]) if len(fixed) == 3 else None
