"""Cuts an ONNX graph into segments and heads.  Works on the graph alone: no torch, no re-export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.message import EncodeError
from onnx import GraphProto, ModelProto, ValueInfoProto

from partitioner.cuts import check_cut
from partitioner.network import Network
from split_core.errors import ModelError

Tensors = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One piece: a model of its own, as bytes, with the names of its inputs and outputs in order."""

    file: str
    model: bytes
    inputs: Tensors
    outputs: Tensors


@dataclass(frozen=True, slots=True)
class Parts:
    """Segments 1..K and heads 1..K-1; `cuts` are the tensors of cuts 0..K-1."""

    cuts: tuple[Tensors, ...]
    segments: tuple[Part, ...]
    heads: tuple[Part, ...]

    def contents(self) -> dict[str, bytes]:
        """Bytes of every piece, by file name."""
        return {part.file: part.model for part in (*self.segments, *self.heads)}


def cut(network: Network, cuts: Sequence[Tensors]) -> Parts:
    """Cut `network` at `cuts` 1..K-1, in this order, with exit k's head behind cut k.

    Every weight is stored once in each piece that needs it.  Nodes, opset, IR version and the dynamic
    batch stay as they are.

    Raises:
        ModelError: not a valid cut, cuts in the wrong order, or a skip connection that a cut does not
            list; the message names the tensor.
    """
    for tensors in cuts:
        check_cut(network, tensors)
    borders = [network.flow.inputs, *cuts]
    ends = [*cuts, (network.final,)]
    segments = tuple(
        _part(network, f"segments/segment_{k}.onnx", before, after)
        for k, (before, after) in enumerate(zip(borders, ends, strict=True), 1)
    )
    heads = tuple(
        _part(network, f"heads/exit_{k}.onnx", _needed(network, tensors, logits), (logits,))
        for k, (tensors, logits) in enumerate(zip(cuts, network.exits, strict=False), 1)
    )
    return Parts(tuple(borders), segments, heads)


def _needed(network: Network, tensors: Tensors, logits: str) -> Tensors:
    """Those of a cut's tensors that a head takes; all of them when it seems to take none."""
    inside = network.flow.ancestors([logits], stop=tensors)
    taken = {name for index in inside for name in network.flow.taken[index]}
    return tuple(name for name in tensors if name in taken) or tensors


def _part(network: Network, file: str, inputs: Tensors, outputs: Tensors) -> Part:
    inside = network.flow.ancestors(outputs, stop=inputs)
    _check_closed(network, file, inputs, outputs, inside)
    model = _model(network, file, inputs, outputs, sorted(inside))
    try:
        return Part(file, model.SerializeToString(deterministic=True), inputs, outputs)
    except (ValueError, EncodeError) as error:  # protobuf's limit
        raise ModelError(f"{file}: a piece of more than 2 GB cannot be written as one file; cut more often") from error


def _check_closed(network: Network, file: str, inputs: Tensors, outputs: Tensors, inside: set[int]) -> None:
    """Refuse a piece that needs a tensor from before its cut which the cut does not carry."""
    flow, before = network.flow, network.flow.ancestors(inputs)
    said = " + ".join(inputs)
    for name in outputs:
        if name not in inputs and flow.maker.get(name) in before:
            raise ModelError(f"{file}: {name} is computed before {said}; give the cuts in the order of the network")
    # Only what is behind the cut is asked: the first tensor that it takes from before is the one to name.
    for name in (name for index in sorted(inside - before) for name in flow.taken[index]):
        stray = name in flow.inputs or flow.maker.get(name) in before
        if stray and name in flow.variable and name not in inputs:
            raise ModelError(f"{file}: needs {name}, which cut {said} does not carry; list it there, or cut elsewhere")


def _model(network: Network, file: str, inputs: Tensors, outputs: Tensors, inside: list[int]) -> ModelProto:
    whole = network.model
    graph = _graph(network, inside, {*inputs, *outputs})
    graph.name = file.removesuffix(".onnx").replace("/", ".")
    graph.input.extend(_border(network, name) for name in inputs)
    graph.output.extend(_border(network, name) for name in outputs)
    return ModelProto(
        ir_version=whole.ir_version,
        opset_import=whole.opset_import,
        graph=graph,
        functions=whole.functions,
        producer_name=whole.producer_name,
        producer_version=whole.producer_version,
    )


def _graph(network: Network, inside: list[int], border: set[str]) -> GraphProto:
    """Nodes with their weights and inner value infos, all in the file's order; no inputs or outputs yet."""
    whole, flow = network.model.graph, network.flow
    used = {name for index in inside for name in flow.taken[index]} - border
    inner = used | {name for index in inside for name in flow.nodes[index].output} - border
    return GraphProto(
        node=[flow.nodes[index] for index in inside],
        initializer=[item for item in whole.initializer if item.name in used],
        sparse_initializer=[item for item in whole.sparse_initializer if item.values.name in used],
        value_info=[item for item in whole.value_info if item.name in inner],
        quantization_annotation=[item for item in whole.quantization_annotation if item.tensor_name in inner],
    )


def _border(network: Network, name: str) -> ValueInfoProto:
    """The tensor as an input or output of a piece, with a name for its batch axis."""
    network.spec(name)
    border = ValueInfoProto()
    border.CopyFrom(network.value(name))
    if not border.type.tensor_type.shape.dim[0].dim_param:
        border.type.tensor_type.shape.dim[0].dim_param = "batch"
    return border


def whole_with(network: Network, outputs: Sequence[str]) -> bytes:
    """The uncut network with other outputs: what the pieces are compared with."""
    model = ModelProto()
    model.CopyFrom(network.model)
    del model.graph.output[:]
    model.graph.output.extend(_border(network, name) for name in outputs)
    return bytes(model.SerializeToString(deterministic=True))
