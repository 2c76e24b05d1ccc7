"""Where a network can be cut: a sweep over the graph with the set of live tensors.

A place is a cut when few variable tensors are live there: made before it, used after it.  Only
ancestors of the outputs count; heads hang off the trunk and never cross.  What depends on shapes alone
is made again behind the cut, and so is what follows cheaply from something smaller: a transformer's
(batch, 1, tokens, tokens) mask from the (batch, tokens) one that it was given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from partitioner.network import Network
from split_core.errors import ModelError
from split_core.registry import suggestion

WIDTH = 2  # one hidden state, and for transformers a mask
CHEAP = 0.01  # share of the network's compute that may be done on both sides of a cut
FEW = 1024  # weights that may be there twice for it


@dataclass(frozen=True, slots=True)
class CutPoint:
    """A valid cut: `tensors` cross it, `nodes_before` nodes of the trunk run before it."""

    tensors: tuple[str, ...]
    nodes_before: int


def find_cuts(network: Network, width: int = WIDTH) -> list[CutPoint]:
    """Every place on the way to the outputs where at most `width` tensors cross, in the order of depth.

    Neither the input itself (cut 0) nor the outputs are listed.  Two topological orders are swept, the
    file's and the laziest, because a tensor that is made long before its use widens the places between.
    """
    flow, found = network.flow, dict[frozenset[str], CutPoint]()
    smallest = _Smallest(network)
    ends = {frozenset(flow.inputs), frozenset(network.finals)}
    for order in (sorted(network.trunk), flow.lazily(network.finals)):
        for live in sweep(network, order):
            tensors = smallest.of(live)
            key = frozenset(tensors)
            if not live or len(tensors) > width or key <= set(flow.inputs) or key in ends or key in found:
                continue
            if obstacle(network, tensors) is None:
                found[key] = CutPoint(tensors, len(flow.ancestors(tensors)))
    return sorted(found.values(), key=lambda point: point.nodes_before)


def sweep(network: Network, order: Sequence[int]) -> Iterator[tuple[str, ...]]:
    """Live variable tensors before the first node and after each node of `order`.

    Args:
        network: the network.
        order: all ancestors of the outputs, by index, in any topological order.
    """
    flow, end = network.flow, len(order)
    last_use = {name: position for position, index in enumerate(order) for name in flow.taken[index]}
    last_use.update(dict.fromkeys(network.finals, end))
    live = dict.fromkeys(name for name in flow.inputs if name in last_use)
    yield tuple(live)
    for position, index in enumerate(order):
        live.update(dict.fromkeys(n for n in flow.nodes[index].output if n in last_use and n in flow.variable))
        for name in flow.taken[index]:
            if last_use[name] == position:
                live.pop(name, None)
        yield tuple(live)


class _Smallest:
    """Replaces live tensors by smaller ones that they follow from at next to no cost."""

    def __init__(self, network: Network) -> None:
        self._network, self._known = network, dict[str, str]()
        self._allowed = CHEAP * sum(network.macs)

    def of(self, live: Sequence[str]) -> tuple[str, ...]:
        """The tensors to ship in place of `live`, largest first."""
        ship = dict.fromkeys(self._source(name) for name in live)
        return tuple(sorted(ship, key=self._bytes, reverse=True))

    def _source(self, name: str) -> str:
        if name not in self._known:
            self._known[name] = self._climbed(name)
        return self._known[name]

    def _climbed(self, name: str) -> str:
        """The smallest of the tensors above `name`, up to where two meet, weights are used or compute adds up."""
        best, spent, flow = name, 0, self._network.flow
        parents = self._parents(name)
        while len(parents) == 1:
            index = flow.maker[name]
            spent += self._network.macs[index]
            weights = sum(self._network.weight_items.get(taken, 0) for taken in flow.taken[index])
            if spent > self._allowed or weights > FEW:
                break
            name = parents.pop()
            if self._bytes(name) < self._bytes(best):
                best = name
            parents = self._parents(name)
        return best

    def _parents(self, name: str) -> set[str]:
        flow = self._network.flow
        index = flow.maker.get(name)
        return set() if index is None else {taken for taken in flow.taken[index] if taken in flow.variable}

    def _bytes(self, name: str) -> float:
        try:
            spec = self._network.spec(name)
        except ModelError:
            return float("inf")
        return float(
            self._network.sample_items(name) * spec.row_bytes({a: 1 for a in spec.row_shape if isinstance(a, str)})
        )


def obstacle(network: Network, tensors: Sequence[str]) -> str | None:
    """Why these tensors alone do not carry the network across a cut, in words; None when they do."""
    for name in tensors:
        try:
            network.spec(name)
        except ModelError as error:
            return str(error)
    flow = network.flow
    before, behind = flow.ancestors(tensors), flow.ancestors(network.finals, stop=tensors)
    twice = {index for index in before & behind if flow.variable.intersection(flow.nodes[index].output)}
    needed = {name for index in behind for name in flow.taken[index]} | set(network.finals)
    if any(name in flow.inputs and name not in tensors for name in needed):
        return _others(network, tensors)
    if sum(network.macs[index] for index in twice) > CHEAP * sum(network.macs):
        return _others(network, tensors)
    unused = [name for name in tensors if name not in needed]
    if unused:
        return f"{unused[0]} is not used behind it, on the way to {', '.join(network.finals)}"
    return lost_shape(network, tensors, behind)


def _others(network: Network, tensors: Sequence[str]) -> str:
    others = [name for name in crossing(network, tensors) if name not in tensors]
    return f"{', '.join(others) or 'the input'} would cross too; list them with it, or cut elsewhere"


def lost_shape(network: Network, tensors: Sequence[str], behind: set[int]) -> str | None:
    """A size that nodes `behind` need and that none of these tensors has, in words; None when all are there."""
    flow, dims = network.flow, network.shapes.dims
    carried = {dim for name in tensors for dim in dims[name]}
    for index in behind:
        source = flow.measured[index]
        if source is None or source in tensors or flow.maker.get(source) in behind:
            continue
        lost = [dim for dim in dims[source] if isinstance(dim, str) and dim not in carried]
        if lost:
            return f"the size {lost[0]!r} of {source} is needed behind it, and no tensor that crosses has it"
    return None


def crossing(network: Network, tensors: Sequence[str]) -> tuple[str, ...]:
    """What is live when exactly the nodes that `tensors` need have run."""
    before = network.flow.ancestors(tensors) & network.trunk
    order = [*sorted(before), *sorted(network.trunk - before)]  # ancestors first is still topological
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
    found = obstacle(network, tensors)
    if found:
        raise ModelError(f"cut {said}: {found}")
