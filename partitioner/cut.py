"""Cuts an ONNX graph into segments and heads.  Works on the graph alone: no torch, no re-export."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from google.protobuf.message import EncodeError
from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto, helper
from onnx.external_data_helper import uses_external_data

from partitioner.cuts import check_cut, lost_shape
from partitioner.network import Network
from partitioner.shape_nodes import shape_nodes
from partitioner.weights import Weights, put_outside, region_of
from split_core.bundle import Source
from split_core.errors import ModelError

Tensors = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One piece: a model of its own, as bytes, with the names of its inputs and outputs in order.

    The model does not make those outputs that are inputs, too: they are handed on.

    `outside` are the files with weights that it does not hold itself.
    """

    file: str
    model: bytes
    inputs: Tensors
    outputs: Tensors
    outside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Parts:
    """Segments 1..K and heads 1..K-1; `cuts` are the tensors of cuts 0..K-1; `weights` by file."""

    cuts: tuple[Tensors, ...]
    segments: tuple[Part, ...]
    heads: tuple[Part, ...]
    weights: Mapping[str, Weights] = field(default_factory=dict)

    def contents(self) -> dict[str, bytes | Source]:
        """What every file of the bundle holds, by name."""
        return {**{part.file: part.model for part in (*self.segments, *self.heads)}, **self.weights}


def cut(network: Network) -> Parts:
    """Cut `network` at its cuts 1..K-1, with exit k's head behind cut k where the network has exits.

    Every piece has the weights that it needs, those of a large network in files of their own.  Nodes, opset,
    IR version and the dynamic axes stay as they are; what depends on shapes alone is made again from the
    shapes of what crosses.

    Raises:
        ModelError: not a valid cut, cuts in the wrong order, or a skip connection that a cut does not
            list; the message names the tensor.
    """
    for tensors in network.cuts:
        check_cut(network, tensors)
    borders = [network.flow.inputs, *network.cuts]
    ends = [*network.cuts, network.finals]
    weights: dict[str, Weights] = {}
    segments = tuple(
        _part(network, f"segments/segment_{k}.onnx", before, after, weights)
        for k, (before, after) in enumerate(zip(borders, ends, strict=True), 1)
    )
    heads = tuple(
        _part(network, f"heads/exit_{k}.onnx", _needed(network, tensors, logits), (logits,), weights)
        for k, (tensors, logits) in enumerate(zip(network.cuts, network.exits[:-1], strict=False), 1)
    )
    return Parts(tuple(borders), segments, heads, weights)


def _needed(network: Network, tensors: Tensors, logits: str) -> Tensors:
    """Those of a cut's tensors that a head takes; all of them when it seems to take none."""
    inside = network.flow.ancestors([logits], stop=tensors)
    taken = {name for index in inside for name in network.flow.taken[index]}
    return tuple(name for name in tensors if name in taken) or tensors


def _part(network: Network, file: str, inputs: Tensors, outputs: Tensors, weights: dict[str, Weights]) -> Part:
    """One piece; weights that it keeps outside are added to `weights`."""
    inside = network.flow.ancestors(outputs, stop=inputs)
    _check_closed(network, file, inputs, outputs, inside)
    made = tuple(name for name in outputs if name not in inputs)
    model = _model(network, file, inputs, made, sorted(inside))
    beside = file.removesuffix(".onnx") + ".weights"
    external = [tensor for tensor in model.graph.initializer if uses_external_data(tensor)]
    if network.folder is not None and external:
        regions = [region_of(tensor, network.folder) for tensor in external]
        weights[beside] = put_outside(external, regions, PurePosixPath(beside).name)
    try:
        data = model.SerializeToString(deterministic=True)
        return Part(file, data, inputs, outputs, (beside,) if beside in weights else ())
    except (ValueError, EncodeError) as error:  # protobuf's limit
        raise ModelError(
            f"{file}: a piece of more than 2 GB cannot be written as one file; save the network with external weights, "
            "or cut more often"
        ) from error


def _check_closed(network: Network, file: str, inputs: Tensors, outputs: Tensors, inside: set[int]) -> None:
    """Refuse a piece that would have to start from the network's input again, or lacks a size."""
    flow, before = network.flow, network.flow.ancestors(inputs)
    said = " + ".join(inputs)
    for name in outputs:
        if name not in inputs and flow.maker.get(name) in before:
            raise ModelError(f"{file}: {name} is computed before {said}; give the cuts in the order of the network")
    needed = {name for index in inside for name in flow.taken[index]} | set(outputs)
    if needed.isdisjoint(set(flow.inputs) - set(inputs)):
        lost = lost_shape(network, inputs, inside)
        if lost:
            raise ModelError(f"{file}: {lost}")
        return
    # The first tensor from before the cut that something behind it takes is the one to name.
    behind = sorted(index for index in inside - before if flow.variable.intersection(flow.nodes[index].output))
    for name in (name for index in behind for name in flow.taken[index]):
        if (name in flow.inputs or flow.maker.get(name) in before) and name in flow.variable and name not in inputs:
            raise ModelError(f"{file}: needs {name}, which cut {said} does not carry; list it there, or cut elsewhere")
    raise ModelError(f"{file}: needs more than cut {said} carries; cut elsewhere")


def _model(network: Network, file: str, inputs: Tensors, outputs: Tensors, inside: list[int]) -> ModelProto:
    whole = network.model
    graph = _graph(network, inside, inputs, outputs)
    graph.name = file.removesuffix(".onnx").replace("/", ".")
    graph.input.extend(border(network, name) for name in inputs)
    graph.output.extend(border(network, name) for name in outputs)
    return ModelProto(
        ir_version=whole.ir_version,
        opset_import=whole.opset_import,
        graph=graph,
        functions=whole.functions,
        producer_name=whole.producer_name,
        producer_version=whole.producer_version,
    )


def _graph(network: Network, inside: list[int], inputs: Tensors, outputs: Tensors) -> GraphProto:
    """Nodes with their weights, in the file's order; no inputs or outputs yet.

    Shapes that the file notes for inner tensors are left out: engines infer them from the piece's own inputs.
    """
    whole, flow = network.model.graph, network.flow
    used = {name for index in inside for name in flow.taken[index]} - {*inputs, *outputs}
    inner = used | {name for index in inside for name in flow.nodes[index].output} - {*inputs, *outputs}
    return GraphProto(
        node=[node for index in inside for node in _node(network, index, inside, inputs)],
        initializer=[item for item in whole.initializer if item.name in used],
        sparse_initializer=[item for item in whole.sparse_initializer if item.values.name in used],
        quantization_annotation=[item for item in whole.quantization_annotation if item.tensor_name in inner],
    )


def _node(network: Network, index: int, inside: list[int], inputs: Tensors) -> list[NodeProto]:
    """The node itself; for one that asks the shape of a tensor that is not here, nodes that answer for it."""
    flow = network.flow
    source = flow.measured[index]
    if source is None or source in inputs or flow.maker.get(source) in inside:
        return [flow.nodes[index]]
    return shape_nodes(network, flow.nodes[index], inputs)


def border(network: Network, name: str) -> ValueInfoProto:
    """The tensor as an input or output of a piece, with the names of its dynamic axes."""
    dims = network.shapes.dims[name]
    return helper.make_tensor_value_info(name, network.types[name], dims)


def prefix(network: Network, tensors: Sequence[str]) -> bytes:
    """The network up to these tensors, which are its outputs: what comes before a cut, as one model."""
    outputs = tuple(name for name in tensors if name not in network.flow.inputs)
    inside = sorted(network.flow.ancestors(outputs))
    return bytes(_model(network, "prefix.onnx", network.flow.inputs, outputs, inside).SerializeToString())


def whole_with(network: Network, outputs: Sequence[str], rounded: Collection[str] = ()) -> bytes:
    """The uncut network with other outputs: what the pieces are compared with.

    `rounded` are float16 tensors that shall really be float16, as the network says and as they are where
    they cross a cut: onnxruntime on a CPU keeps them in float32 from one node to the next.
    """
    model = ModelProto()
    model.CopyFrom(network.model)
    if rounded:
        _round(model.graph, rounded)
    del model.graph.output[:]
    model.graph.output.extend(border(network, name) for name in outputs)
    return bytes(model.SerializeToString(deterministic=True))


def _round(graph: GraphProto, tensors: Collection[str]) -> None:
    """Put two Identities behind each of `tensors`: onnxruntime turns one float16 node alone into float32."""
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        node.input[:] = [f"{name}/rounded" if name in tensors else name for name in node.input]
        graph.node.append(node)
        for name in node.output:
            if name in tensors:
                graph.node.append(helper.make_node("Identity", [name], [f"{name}/stored"]))
                graph.node.append(helper.make_node("Identity", [f"{name}/stored"], [f"{name}/rounded"]))
