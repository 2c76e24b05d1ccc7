"""Where a network can be cut: one sweep over the graph with the set of live tensors.

A place is a cut when few variable tensors are live there: made before it, used after it.  Only
ancestors of the final exit count; heads hang off the trunk and never cross.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from partitioner.network import Network
from split_core.errors import ModelError
from split_core.registry import suggestion

WIDTH = 2  # one hidden state, and for transformers a mask


@dataclass(frozen=True, slots=True)
class CutPoint:
    """A valid cut: `tensors` cross it, `nodes_before` nodes of the trunk run before it."""

    tensors: tuple[str, ...]
    nodes_before: int


def find_cuts(network: Network, width: int = WIDTH) -> list[CutPoint]:
    """Every place on the way to the final exit where at most `width` tensors cross, in the file's order.

    Neither the input itself (cut 0) nor the final logits are listed.
    """
    trunk = sorted(network.flow.ancestors([network.final]))
    found: dict[frozenset[str], CutPoint] = {}
    for done, live in enumerate(sweep(network, trunk)):
        key = frozenset(live)
        if live and len(live) <= width and not key <= set(network.flow.inputs) and key != {network.final}:
            found.setdefault(key, CutPoint(live, done))
    return list(found.values())


@dataclass(frozen=True, slots=True)
class CutRow:
    """A cut as people choose it.

    Attributes:
        tensors: what crosses.
        row_bytes, u8_bytes: of one sample, raw and at one byte per value; None where no shape is known.
        weights_before, nodes_before: shares of the trunk's weights (in bytes) and nodes before the cut.
    """

    tensors: tuple[str, ...]
    row_bytes: int | None
    u8_bytes: int | None
    weights_before: float
    nodes_before: float


def list_cuts(network: Network, width: int = WIDTH) -> list[CutRow]:
    """All cuts of `find_cuts`, with what each would ship and leave behind."""
    trunk = network.flow.ancestors([network.final])
    every = _weight_bytes(network, trunk)
    rows = []
    for point in find_cuts(network, width):
        before = network.flow.ancestors(point.tensors)
        sizes = [_row_sizes(network, name) for name in point.tensors]
        known = [size for size in sizes if size is not None]
        complete = len(known) == len(sizes)
        rows.append(
            CutRow(
                tensors=point.tensors,
                row_bytes=sum(raw for raw, _ in known) if complete else None,
                u8_bytes=sum(values for _, values in known) if complete else None,
                weights_before=_weight_bytes(network, before) / every if every else 0.0,
                nodes_before=len(before) / len(trunk),
            )
        )
    return rows


def _row_sizes(network: Network, name: str) -> tuple[int, int] | None:
    """Bytes and number of values of one sample; None where the shape is not known."""
    try:
        spec = network.spec(name)
    except ModelError:
        return None
    return spec.row_bytes({}), math.prod(spec.sized({}))


def _weight_bytes(network: Network, nodes: set[int]) -> int:
    """Bytes of the distinct weights that these nodes take."""
    taken = {name for index in nodes for name in network.flow.taken[index]}
    return sum(item.ByteSize() for item in network.model.graph.initializer if item.name in taken)


def sweep(network: Network, order: Sequence[int]) -> Iterator[tuple[str, ...]]:
    """Live variable tensors before the first node and after each node of `order`.

    Args:
        network: the network.
        order: all ancestors of the final exit, by index, in any topological order.
    """
    flow, end = network.flow, len(order)
    last_use = {name: position for position, index in enumerate(order) for name in flow.taken[index]}
    last_use[network.final] = end
    live = dict.fromkeys(name for name in flow.inputs if name in last_use)
    yield tuple(live)
    for position, index in enumerate(order):
        live.update(dict.fromkeys(n for n in flow.nodes[index].output if n in last_use and n in flow.variable))
        for name in flow.taken[index]:
            if last_use[name] == position:
                live.pop(name, None)
        yield tuple(live)


def crossing(network: Network, tensors: Sequence[str]) -> tuple[str, ...]:
    """What is live when exactly the nodes that `tensors` need have run: equal to them at a valid cut."""
    trunk = network.flow.ancestors([network.final])
    before = network.flow.ancestors(tensors) & trunk
    order = [*sorted(before), *sorted(trunk - before)]  # ancestors first is still topological
    for done, live in enumerate(sweep(network, order)):
        if done == len(before):
            return live
    raise ValueError("the sweep is shorter than its order")


def check_cut(network: Network, tensors: Sequence[str]) -> None:
    """Refuse a cut that is none.

    Raises:
        ModelError: a tensor does not exist, is not used behind the cut, or others cross with it; the
            message names them.
    """
    said = " + ".join(tensors)
    for name in tensors:
        if name not in network.flow.variable:
            known = sorted(network.flow.variable)
            raise ModelError(f"cut {said}: no tensor named {name!r}{suggestion(name, known)}")
    live = crossing(network, tensors)
    others = [name for name in live if name not in tensors]
    if others:
        raise ModelError(f"cut {said}: {', '.join(others)} would cross too; list them with it, or cut elsewhere")
    unused = [name for name in tensors if name not in live]
    if unused:
        raise ModelError(f"cut {said}: {unused[0]} is not used behind it, on the way to {network.final}")
