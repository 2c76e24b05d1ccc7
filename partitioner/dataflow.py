"""Who makes and who uses each tensor of an ONNX graph.  Constants are told from what depends on an input."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from onnx import AttributeProto, GraphProto, NodeProto


class Dataflow:
    """The graph as nodes (by index, in the file's topological order) and tensors (by name).

    A tensor is *variable* when it depends on an input of the network.  Weights, `Constant` nodes and
    whatever is computed from them alone are not: every piece that needs them gets a copy.

    Args:
        graph: a checked graph; it is not changed.

    Attributes:
        inputs: names of the true inputs, without initialisers that old exporters list there.
        maker: tensor -> index of the node that makes it.
        taken: per node, all tensors that it takes, in order and once.
        variable: names of the variable tensors.
    """

    def __init__(self, graph: GraphProto) -> None:
        weights = {item.name for item in graph.initializer}
        weights |= {item.values.name for item in graph.sparse_initializer}
        self.nodes = list(graph.node)
        self.inputs = tuple(item.name for item in graph.input if item.name not in weights)
        self.maker = {name: i for i, node in enumerate(self.nodes) for name in node.output if name}
        self.taken = [tuple(dict.fromkeys(tensors_of(node))) for node in self.nodes]
        self.variable = set(self.inputs)
        for node, taken in zip(self.nodes, self.taken, strict=True):
            if not self.variable.isdisjoint(taken):
                self.variable.update(name for name in node.output if name)

    def ancestors(self, tensors: Iterable[str], stop: Collection[str] = ()) -> set[int]:
        """Indices of the nodes needed to make `tensors` when those in `stop` are given."""
        found: set[int] = set()
        open_tensors = [name for name in tensors if name not in stop]
        while open_tensors:
            index = self.maker.get(open_tensors.pop())
            if index is not None and index not in found:
                found.add(index)
                open_tensors.extend(name for name in self.taken[index] if name not in stop)
        return found


def tensors_of(node: NodeProto) -> list[str]:
    """Names that a node takes: its inputs, and what its subgraphs (If, Loop, Scan) use from outside."""
    names = [name for name in node.input if name]
    for attribute in node.attribute:
        graphs = [attribute.g] if attribute.type == AttributeProto.GRAPH else list(attribute.graphs)
        names.extend(name for graph in graphs for name in _captured(graph))
    return names


def _captured(graph: GraphProto) -> list[str]:
    """Names that a subgraph uses but does not define."""
    own = {item.name for item in (*graph.input, *graph.initializer)}
    own |= {name for node in graph.node for name in node.output}
    used = [name for node in graph.node for name in tensors_of(node)]
    return [name for name in (*used, *(item.name for item in graph.output)) if name not in own]
