"""Names for the axes of a network's inputs: the batch leads, other dynamic axes keep the author's names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from onnx import ModelProto, ValueInfoProto

from partitioner.shapes import BATCH, declared
from split_core.errors import ConfigError, ModelError
from split_core.registry import suggestion

IMAGE_SIZES, SIZES = (64, 96), (16, 24)  # of a dynamic axis of which nothing is said


def with_named_axes(model: ModelProto, said: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """Name the dynamic axes of the inputs, in place, and give two sizes of each but the batch.

    Args:
        model: its inputs are changed; weights that old exporters list among them are taken out.
        said: sizes by name, from the user.

    Raises:
        ModelError: an input that has no batch axis, or a fixed batch of more than one.
        ConfigError: sizes for an axis that is not there.
    """
    weights = {item.name for item in model.graph.initializer}
    inputs = [item for item in model.graph.input if item.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    leading = {_leading(item) for item in model.graph.input}
    if len(leading) > 1:
        shown = ", ".join(f"{item.name} {declared(item)}" for item in model.graph.input)
        raise ModelError(f"some inputs have a dynamic batch and some have not ({shown}); export all with a batch axis")
    axes: dict[str, tuple[int, int]] = {}
    for item in model.graph.input:
        axes.update(_named(item, said))
    for name in said:
        if name not in axes:
            raise ConfigError(
                f"no dynamic axis named {name!r}{suggestion(name, axes)}; there are: {', '.join(axes) or 'none'}"
            )
    return axes


def _leading(item: ValueInfoProto) -> str:
    """What the first axis is: "dynamic" or "one".

    Raises:
        ModelError: there is none, or it is longer.
    """
    dims = declared(item)
    if not item.type.HasField("tensor_type"):
        raise ModelError(f"input {item.name!r} is no tensor; networks take tensors")
    if not dims:
        raise ModelError(f"input {item.name!r} is a scalar; export the network with a batch axis in every input")
    if isinstance(dims[0], int) and dims[0] != 1:
        raise ModelError(
            f"input {item.name!r} has the fixed batch {dims[0]}; export it with a dynamic batch, or one of 1"
        )
    return "one" if dims[0] == 1 else "dynamic"


def _named(item: ValueInfoProto, said: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    shape, axes = item.type.tensor_type.shape, dict[str, tuple[int, int]]()
    names = declared(item)
    for axis, name in enumerate(names):
        if isinstance(name, int):
            continue
        same = axis == 0 or name == names[0]
        shape.dim[axis].dim_param = BATCH if same else _identifier(name)
        if not same:
            chosen = said.get(shape.dim[axis].dim_param)
            axes[shape.dim[axis].dim_param] = chosen or (IMAGE_SIZES if len(names) == 4 else SIZES)
    return axes


def _identifier(name: str) -> str:
    """The name with underscores for what is no letter or digit, and another than the batch's."""
    words = re.sub(r"\W", "_", name)
    return words if words.isidentifier() and words != BATCH else f"axis_{words}"


def with_batch_of_one(model: ModelProto) -> ModelProto:
    """The model with a fixed batch of one sample."""
    alone = ModelProto()
    alone.CopyFrom(model)
    for item in alone.graph.input:
        item.type.tensor_type.shape.dim[0].dim_value = 1
    return alone


def with_one_axis(model: ModelProto, names: Sequence[str]) -> ModelProto:
    """The model with the first of these names for all axes that have one of them."""
    same = ModelProto()
    same.CopyFrom(model)
    for item in same.graph.input:
        for dim in item.type.tensor_type.shape.dim:
            if dim.dim_param in names:
                dim.dim_param = names[0]
    return same
