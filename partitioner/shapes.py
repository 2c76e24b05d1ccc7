"""How large every tensor of a network is, and which sizes go with which dynamic axis: by looking.

The network is run at one size of everything, and once more per dynamic axis with that axis alone longer.
A size that changed the same way as an axis *is* that axis.  Exporters lose such facts and inference
engines rederive them each in their own way; a run cannot be wrong about the sizes it saw, and the
certificate is proved at both sizes of every axis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
from onnx import ModelProto, ValueInfoProto, helper

from partitioner.bounds import REFUSED, SESSION, check_input, limit_memory, said_gb
from split_core.backends.base import Session
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.errors import BackendError, ModelError
from split_core.tensors import Array, Dim

BATCH = "batch"
BATCHES = (2, 3)
FIXED = 1


@dataclass(frozen=True)
class Shapes:
    """What was seen.

    Attributes:
        dims: of every tensor: integers, `BATCH`, the name of an axis, or `dim_<n>` for a size that depends
            on the axes in some other way.
        example: of every tensor, at a batch of `rows` and the first size of every axis.
        rows: the batch of `example`; 1 when the batch is fixed.
        axes: two sizes of everything in `dims` that has a name and does not depend on the batch: with all
            axes of the inputs at their first size, and with all at their second.
    """

    dims: Mapping[str, tuple[Dim, ...]]
    example: Mapping[str, tuple[int, ...]]
    rows: int
    axes: Mapping[str, tuple[int, int]]


def observe(
    model: ModelProto, tensors: Sequence[str], axes: Mapping[str, tuple[int, int]], *, folder: Path | None = None
) -> Shapes:
    """Run the network at a few sizes and see.

    Args:
        model: with inputs as `declared` says.
        tensors: whose shapes are asked.
        axes: two sizes of every dynamic axis but the batch.
        folder: where external weights are.

    Raises:
        ModelError: the network does not run at these sizes.
        BackendError: onnxruntime cannot load it.
    """
    limit_memory()
    backend = OnnxRuntimeBackend("off", entries=SESSION)
    session = backend.load(_asking_for_shapes(model, tensors), threads=1, folder=folder)
    settings = _settings(model, axes)
    seen = [_run(session, model, sizes) for sizes in settings]
    names = {tuple(sizes[name] for sizes in settings): name for name in (BATCH, *axes)} if len(settings) > 1 else {}
    changes = [list(zip(*(run[i] for run in seen), strict=True)) for i in range(len(tensors))]
    dims = {tensor: tuple(_dim(change, names) for change in row) for tensor, row in zip(tensors, changes, strict=True)}
    return Shapes(dims, dict(zip(tensors, seen[0], strict=True)), settings[0][BATCH], _sizes(names, settings))


def _settings(model: ModelProto, axes: Mapping[str, tuple[int, int]]) -> list[dict[str, int]]:
    """All first sizes, all second ones, each axis alone at its second, and the batch alone at its second."""
    batched = BATCH in {dim for item in model.graph.input for dim in declared(item)}
    base = {name: sizes[0] for name, sizes in axes.items()} | {BATCH: BATCHES[0] if batched else FIXED}
    settings = [base]
    if axes:
        settings.append({**base, **{name: sizes[1] for name, sizes in axes.items()}})
    if len(axes) > 1:
        settings += [{**base, name: sizes[1]} for name, sizes in axes.items()]
    return [*settings, {**base, BATCH: BATCHES[1]}] if batched else settings


def _run(session: Session, model: ModelProto, sizes: dict[str, int]) -> list[tuple[int, ...]]:
    try:
        shapes = session.run([_plain(item, sizes) for item in model.graph.input])
    except BackendError as error:
        said = ", ".join(f"{name} {size}" for name, size in sizes.items())
        if REFUSED in str(error):
            raise ModelError(f"the network asks for more than {said_gb()} at {said}; use a larger machine") from error
        raise ModelError(
            f"the network does not run at {said} ({error}); give sizes that it takes with --axis"
        ) from error
    return [tuple(map(int, shape)) for shape in shapes]


def _dim(change: tuple[int, ...], names: dict[tuple[int, ...], str]) -> Dim:
    """An integer when all runs agree, else the name of what changed like this; new names are added."""
    if len(set(change)) == 1:
        return change[0]
    free = next(name for name in (f"dim_{n}" for n in count(len(names))) if name not in names.values())
    return names.setdefault(change, free)


def _sizes(names: dict[tuple[int, ...], str], settings: list[dict[str, int]]) -> dict[str, tuple[int, int]]:
    """First and second size of whatever has a name and is the same for any batch."""
    last = len(settings) - 1 if settings[-1][BATCH] != settings[0][BATCH] else 0
    return {
        name: (change[0], change[1]) for change, name in names.items() if change[last] == change[0] and name != BATCH
    }


def _asking_for_shapes(model: ModelProto, tensors: Sequence[str]) -> bytes:
    """The network with the shapes of `tensors` as its only outputs, so that no activation outlives its use."""
    asking = ModelProto()
    asking.CopyFrom(model)
    del asking.graph.output[:]
    for number, name in enumerate(tensors):
        asking.graph.node.append(helper.make_node("Shape", [name], [f"shape_of/{number}"]))
        asking.graph.output.append(helper.make_tensor_value_info(f"shape_of/{number}", 7, [None]))
    return bytes(asking.SerializeToString())


def declared(item: ValueInfoProto) -> tuple[Dim, ...]:
    """Dimensions of an input as the file says them; a nameless dynamic one is named after its place."""
    dims: list[Dim] = []
    for axis, dim in enumerate(item.type.tensor_type.shape.dim):
        if dim.HasField("dim_value"):
            dims.append(dim.dim_value)
        else:
            dims.append(dim.dim_param or f"{item.name}_{axis}")
    return tuple(dims)


def _plain(item: ValueInfoProto, sizes: Mapping[str, int]) -> Array:
    """An input of this size: ones for floats, which no division minds, else zeros, valid indices of anything."""
    shape = [sizes[dim] if isinstance(dim, str) else dim for dim in declared(item)]
    dtype = helper.tensor_dtype_to_np_dtype(item.type.tensor_type.elem_type)
    check_input(item.name, shape, dtype.itemsize)
    return np.ones(shape, dtype) if dtype.kind == "f" else np.zeros(shape, dtype)
