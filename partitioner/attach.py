"""An exit for every cut: the network's own where one fits, else a new head that knows nothing yet.

A new head's weights are zero: it answers every class with probability 1/C, so no threshold lets it
answer until it has been trained.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from onnx import ModelProto, helper, numpy_helper

from partitioner.cuts import CutPoint, lost_shape
from partitioner.heads import HEADS
from partitioner.heads.base import Head
from partitioner.network import Network
from partitioner.roles import classes_of
from split_core.errors import ModelError
from split_core.tensors import TensorSpec


def cuts_of_exits(network: Network, points: list[CutPoint]) -> list[CutPoint]:
    """Where the network's own exits hang: for each the first cut that carries all it needs."""
    found = {}
    for name in network.offered:
        point = next((point for point in points if hangs_on(network, name, point.tensors)), None)
        if point is not None:
            found[point.tensors] = point
    return sorted(found.values(), key=lambda point: point.nodes_before)


def hangs_on(network: Network, exit_name: str, tensors: tuple[str, ...]) -> bool:
    """Can this exit be computed from these tensors without any of the trunk?"""
    flow = network.flow
    inside = flow.ancestors([exit_name], stop=tensors)
    variable = {i for i in inside if flow.variable.intersection(flow.nodes[i].output)}
    taken = {name for index in variable for name in flow.taken[index]}
    closed = variable.isdisjoint(network.trunk) and taken.isdisjoint(set(flow.inputs) - set(tensors))
    return closed and lost_shape(network, tensors, inside) is None


def with_cuts(network: Network, cuts: tuple[tuple[str, ...], ...]) -> Network:
    """The network with these cuts; exits that came with others are then offered, not set."""
    if cuts == network.cuts:
        return network
    return replace(network, cuts=cuts, exits=network.exits[-1:], offered=(*network.offered, *network.exits[:-1]))


def with_exits(network: Network, head: str | None = None) -> Network:
    """The network with an exit at each of its cuts; as it is when it has them, or gives no class logits.

    Args:
        network: with its cuts chosen.
        head: name in `HEADS` for those that have to be made; None takes the first that suits.

    Raises:
        ModelError: no head suits what crosses a cut.
    """
    if not network.exits or len(network.exits) == len(network.cuts) + 1:
        return network
    own = _own_exits(network)
    lost = [name for name in network.offered if name not in own.values()]
    notes = tuple(f"exit {name!r} is left out: no chosen cut carries what it needs" for name in lost)
    model = ModelProto()
    model.CopyFrom(network.model)
    exits: list[str] = []
    new: list[str] = []
    for k, tensors in enumerate(network.cuts):
        exits.append(own.get(k) or _add_head(network, model, k + 1, tensors, head))
        if k not in own:
            new.append(exits[-1])
    shapes = network.shapes
    classes = classes_of(network, network.exits[-1])
    if classes is None:
        raise ValueError(f"{network.exits[-1]} is no exit")
    seen = replace(
        shapes,
        dims={**shapes.dims, **{name: (shapes.dims[network.exits[-1]]) for name in new}},
        example={**shapes.example, **{name: (shapes.rows, classes) for name in new}},
    )
    return replace(
        network,
        model=model,
        exits=(*exits, network.exits[-1]),
        untrained=tuple(new),
        notes=(*network.notes, *notes),
        seen=seen,
    )


def _own_exits(network: Network) -> dict[int, str]:
    """Cut (from 0) -> the deepest of the network's own exits that hangs on it and on no cut before."""
    own: dict[int, str] = {}
    for name in network.offered:
        place = next((k for k, tensors in enumerate(network.cuts) if hangs_on(network, name, tensors)), None)
        if place is not None:
            own[place] = name
    return own


def _add_head(network: Network, model: ModelProto, k: int, tensors: tuple[str, ...], said: str | None) -> str:
    """Add pooling and a linear layer of zeros behind cut k to `model`; returns the logits' name."""
    specs = [network.spec(name) for name in tensors]
    head, features = _suiting(specs, said)
    classes = classes_of(network, network.exits[-1])
    name, dtype = _free_name(model, f"exit_{k}"), next(s.dtype for s in specs if s.dtype.startswith("float"))
    zeros = np.zeros((features, classes or 0), dtype)
    model.graph.initializer.extend(
        [numpy_helper.from_array(zeros, f"{name}.weight"), numpy_helper.from_array(zeros[0], f"{name}.bias")]
    )
    opset = next(item.version for item in network.model.opset_import if item.domain in ("", "ai.onnx"))
    model.graph.node.extend(head.pool(specs, f"{name}.pooled", opset))
    linear = [f"{name}.pooled", f"{name}.weight", f"{name}.bias"]
    model.graph.node.append(helper.make_node("Gemm", linear, [name], name=name))
    return name


def _free_name(model: ModelProto, name: str) -> str:
    """`name`, with underscores behind it as long as the graph has such a tensor, or one that is named after it."""
    graph = model.graph
    taken = {made for node in graph.node for made in node.output} | {item.name for item in graph.initializer}
    taken |= {item.name for item in graph.input}
    while any(other == name or other.startswith(f"{name}.") for other in taken):
        name += "_"
    return name


def suits(network: Network, tensors: tuple[str, ...], said: str | None) -> bool:
    """Can an exit be attached to what crosses here?"""
    specs = [network.spec(name) for name in tensors]
    return any(HEADS.load(name)().features(specs) is not None for name in ([said] if said else HEADS))


def _suiting(specs: list[TensorSpec], said: str | None) -> tuple[Head, int]:
    for name in [said] if said else HEADS:
        head: Head = HEADS.load(name)()
        features = head.features(specs)
        if features is not None:
            return head, features
    crosses = " + ".join(f"{spec.name} {spec.dtype} {spec.row_shape}" for spec in specs)
    raise ModelError(f"no {said or 'known'} head suits a cut that carries {crosses}; cut elsewhere, or give --head")
