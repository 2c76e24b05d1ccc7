"""Who makes and who uses each tensor of an ONNX graph, and what each depends on: values, shapes, or nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from onnx import AttributeProto, GraphProto, NodeProto

SHAPE_OPS = ("Shape", "Size")


class Dataflow:
    """The graph as nodes (by index, in the file's topological order) and tensors (by name).

    A tensor is *variable* when it depends on the values of an input of the network, and *sized* when it
    depends on an input's shape only: an exported transformer keeps its batch size as a scalar, and makes
    position ids and causal masks of it.  The rest is constant.  Every piece that needs sized or constant
    tensors makes them itself.

    Args:
        graph: a checked graph; it is not changed.

    Attributes:
        inputs: names of the true inputs, without initialisers that old exporters list there.
        maker: tensor -> index of the node that makes it.
        taken: per node, the tensors whose values it takes, in order and once.
        measured: per node, the variable tensor that it takes the shape of, or None.
        variable, sized: names of such tensors.
    """

    def __init__(self, graph: GraphProto) -> None:
        weights = {item.name for item in graph.initializer}
        weights |= {item.values.name for item in graph.sparse_initializer}
        self.nodes = list(graph.node)
        self.inputs = tuple(item.name for item in graph.input if item.name not in weights)
        self.maker = {name: i for i, node in enumerate(self.nodes) for name in node.output if name}
        self.taken: list[tuple[str, ...]] = []
        self.measured: list[str | None] = []
        self.variable, self.sized = set(self.inputs), set[str]()
        for node in self.nodes:
            self._add(node)

    def _add(self, node: NodeProto) -> None:
        taken = tuple(dict.fromkeys(tensors_of(node)))
        measures = node.op_type in SHAPE_OPS and not node.domain and taken[0] in self.variable
        made = [name for name in node.output if name]
        if measures:
            self.sized.update(made)
        elif not self.variable.isdisjoint(taken):
            self.variable.update(made)
        elif not self.sized.isdisjoint(taken):
            self.sized.update(made)
        self.taken.append(() if measures else taken)
        self.measured.append(taken[0] if measures else None)

    def ancestors(self, tensors: Iterable[str], stop: Collection[str] = ()) -> set[int]:
        """Indices of the nodes needed to make `tensors` when those in `stop`, and all shapes, are given."""
        found: set[int] = set()
        open_tensors = [name for name in tensors if name not in stop]
        while open_tensors:
            index = self.maker.get(open_tensors.pop())
            if index is not None and index not in found:
                found.add(index)
                open_tensors.extend(name for name in self.taken[index] if name not in stop)
        return found

    def lazily(self, tensors: Iterable[str]) -> list[int]:
        """The ancestors of `tensors`, each as late as its first user allows: another topological order."""
        order: list[int] = []
        done: set[int] = set()
        pending = [(self.maker[name], False) for name in reversed(list(tensors)) if name in self.maker]
        while pending:
            index, ready = pending.pop()
            if ready:
                order.append(index)
            elif index not in done:
                done.add(index)
                pending.append((index, True))
                makers = (self.maker.get(name) for name in reversed(self.taken[index]))
                pending.extend((maker, False) for maker in makers if maker is not None)
        return order


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
