"""Shapes behind a cut: nodes that give the shape of a tensor that is not there, from the tensors that are.

A network asks its input for the batch size and the sequence length, and uses them in every layer.  Behind
a cut the input is gone, but whatever crossed has the same batch and the same length.
"""

from __future__ import annotations

from collections.abc import Sequence

from onnx import NodeProto, TensorProto, helper

from partitioner.network import Network
from split_core.tensors import Dim

RANGED = 15  # the first opset whose Shape takes start and end


def shape_nodes(network: Network, node: NodeProto, inputs: Sequence[str]) -> list[NodeProto]:
    """What replaces the Shape or Size `node` in a piece that takes `inputs`; they must have every size it needs."""
    name = node.output[0]
    dims = _asked(node, network.shapes.dims[node.input[0]])
    opset = next(item.version for item in network.model.opset_import if item.domain in ("", "ai.onnx"))
    nodes = [made for place, dim in enumerate(dims) for made in _size(network, dim, f"{name}/{place}", inputs, opset)]
    if not dims:
        return [helper.make_node("Constant", [], [name], value=helper.make_tensor(name, TensorProto.INT64, [0], []))]
    whole = f"{name}/shape" if node.op_type == "Size" else name
    nodes.append(helper.make_node("Concat", [f"{name}/{place}" for place in range(len(dims))], [whole], axis=0))
    if node.op_type == "Size":
        nodes.append(helper.make_node("ReduceProd", [whole], [name], keepdims=0))
    return nodes


def _asked(node: NodeProto, dims: tuple[Dim, ...]) -> tuple[Dim, ...]:
    """The dimensions that the node gives: all, or from `start` to `end`."""
    said = {item.name: item.i for item in node.attribute}
    return dims[said.get("start", 0) : said.get("end", len(dims))]


def _size(network: Network, dim: Dim, name: str, inputs: Sequence[str], opset: int) -> list[NodeProto]:
    """Nodes that make `name`, one int64: a constant, or a size of one of the inputs."""
    if isinstance(dim, int):
        return [helper.make_node("Constant", [], [name], value=_int64(name, dim))]
    source, axis = next(
        (taken, network.shapes.dims[taken].index(dim)) for taken in inputs if dim in network.shapes.dims[taken]
    )
    if opset >= RANGED:
        return [helper.make_node("Shape", [source], [name], start=axis, end=axis + 1)]
    return [
        helper.make_node("Shape", [source], [f"{name}/all"]),
        helper.make_node("Constant", [], [f"{name}/axis"], value=_int64(f"{name}/axis", axis)),
        helper.make_node("Gather", [f"{name}/all", f"{name}/axis"], [name], axis=0),
    ]


def _int64(name: str, value: int) -> TensorProto:
    return helper.make_tensor(name, TensorProto.INT64, [1], [value])
