"""What exporting a torch network gives, and cleaning it for the bundle.  No torch here."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx
from onnx import GraphProto, ModelProto, NodeProto

from partitioner.inputs import BATCH
from split_core.tensors import Array

# What JetPack 6 reads: TensorRT 10.3 and onnxruntime 1.18.
IR, OPSET = 10, 18
NAME_SCOPES = "pkg.torch.onnx.name_scopes"


@dataclass(frozen=True)
class Exported:
    """One checked ONNX graph and what was learnt on the way.

    Attributes:
        model: the whole network; its weights are in the file's folder when it has external data.
        exporter: "dynamo", "torchscript", or one of them with ", fixed batch" behind it.
        notes: one line each: what failed before and what the fallback costs.
        source: where it came from: `module` or `file`, `args`, versions of `torch`, `exporter`, `opset`.
        examples: one value per input, in order; two rows where the batch is dynamic, one where it is fixed.
        axes: dynamic axes other than the batch, with two sizes that the network takes.
    """

    model: ModelProto
    exporter: str
    notes: tuple[str, ...]
    source: dict[str, str]
    examples: dict[str, Array]
    axes: dict[str, tuple[int, int]]


def clean(model: ModelProto, wrapper: str) -> None:
    """Keep what the network computes and its blocks' names; nothing of the machine that built it.

    Stack traces, paths and doc strings go, and the name of the module `wrapper` around the network from all names.
    """
    model.ir_version = IR
    model.ClearField("doc_string")
    del model.metadata_props[:]
    for graph in _graphs(model):
        graph.ClearField("doc_string")
        del graph.metadata_props[:]
        for item in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
            item.ClearField("doc_string")
            del item.metadata_props[:]
        for item in (*graph.value_info, *graph.initializer):
            item.name = item.name.removeprefix(f"{wrapper}.")
        for node in graph.node:
            _clean_node(node, wrapper)


def name_axes(
    model: ModelProto, inputs: Sequence[tuple[int | str, ...]], outputs: Sequence[tuple[int | str | None, ...]]
) -> None:
    """Write the dimensions of inputs and outputs: a size, or the name of a dynamic axis.

    An axis of an output that follows none (None) is named after the output.
    """
    for item, dims in zip((*model.graph.input, *model.graph.output), (*inputs, *outputs), strict=True):
        shape = item.type.tensor_type.shape
        del shape.dim[:]
        for axis, size in enumerate(dims):
            made = shape.dim.add()
            if isinstance(size, int):
                made.dim_value = size
            else:
                made.dim_param = size or f"{item.name}_{axis}"


def observed_dims(
    cases: Sequence[Mapping[str, int]], shapes: Sequence[tuple[int, ...]]
) -> tuple[int | str | None, ...]:
    """Which axis of an output follows which dynamic axis, from its shape in every case: a size, a name or None.

    Args:
        cases: sizes of the dynamic axes, one mapping per run; the batch under "batch".
        shapes: of the output in each run.
    """
    dims: list[int | str | None] = []
    for sizes in zip(*shapes, strict=True):
        follows = (axis for axis in cases[0] if tuple(case[axis] for case in cases) == sizes)
        dims.append(sizes[0] if len(set(sizes)) == 1 else next(follows, None))
    return tuple(dims)


def fixed_batch(dims: Sequence[int | str]) -> tuple[int | str, ...]:
    """The same dimensions with a batch of one."""
    return tuple(1 if dim == BATCH else dim for dim in dims)


def opset_of(model: ModelProto) -> int:
    """Version of the standard operators."""
    return next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)


def _graphs(model: ModelProto) -> Iterator[GraphProto]:
    pending = [model.graph]
    while pending:
        graph = pending.pop()
        yield graph
        pending += [attribute.g for node in graph.node for attribute in node.attribute if attribute.HasField("g")]


def _clean_node(node: NodeProto, wrapper: str) -> None:
    node.ClearField("doc_string")
    for names in (node.input, node.output):  # weights, `network.stem.weight`, and what is made of shared ones
        names[:] = [name.removeprefix(f"{wrapper}.") for name in names]
    node.name = node.name.replace(f"/{wrapper}/", "/", 1)  # TorchScript's names are paths
    scopes = [_unwrapped(entry.value, wrapper) for entry in node.metadata_props if entry.key == NAME_SCOPES]
    del node.metadata_props[:]
    for value in scopes:
        node.metadata_props.append(onnx.StringStringEntryProto(key=NAME_SCOPES, value=value))


def _unwrapped(scopes: str, wrapper: str) -> str:
    """`['', 'network', 'network.stem', 'relu']` without the wrapper: `['', 'stem', 'relu']`."""
    try:
        names = ast.literal_eval(scopes)
    except (ValueError, SyntaxError):
        return scopes
    kept = [name for name in names if name != wrapper and not name.startswith("_empty_nn_module_stack")]
    return repr([name.removeprefix(f"{wrapper}.") for name in kept])
