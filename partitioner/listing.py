"""The cuts of a network as people choose them: names, bytes, and what lies before each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from partitioner.blocks import block_of
from partitioner.cuts import WIDTH, CutPoint, find_cuts
from partitioner.network import Network
from split_core.tensors import ITEM_BYTES, Dim


@dataclass(frozen=True, slots=True)
class CutRow:
    """One cut.

    Attributes:
        block: the part of the network that ends here, as its author calls it; the tensor where the file
            does not tell.
        tensors: what crosses.
        shapes: of one sample of each.
        row_bytes, u8_bytes: of one sample, raw and at one byte per value, at the first size of every axis.
        parameters_before, compute_before: shares of the network's parameters and multiply-accumulates.
        nodes_before: how many nodes.
    """

    block: str
    tensors: tuple[str, ...]
    shapes: tuple[tuple[Dim, ...], ...]
    row_bytes: int
    u8_bytes: int
    parameters_before: float
    compute_before: float
    nodes_before: int


def list_cuts(network: Network, width: int = WIDTH) -> list[CutRow]:
    """All cuts of `find_cuts`, with what each would ship and leave behind."""
    points = find_cuts(network, width)
    total = max(1, network.parameters(network.trunk)), max(1, sum(network.macs[index] for index in network.trunk))
    return [_row(network, point, block, total) for point, block in zip(points, _blocks(network, points), strict=True)]


def _blocks(network: Network, points: list[CutPoint]) -> list[str]:
    """A name for every cut: that of the block for the last cut in it, with operator and number for those inside."""
    homes = _shortened([_home(network, point) for point in points])
    last = {home: place for place, (home, _) in enumerate(homes)}
    seen = Counter[tuple[str, str]]()
    names = []
    for place, (home, operator) in enumerate(homes):
        seen[home, operator] += 1
        number = f" {seen[home, operator]}" if seen[home, operator] > 1 else ""
        names.append(home if last[home] == place else f"{home} ({operator}{number})")
    return names


def _shortened(homes: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Without the first words that all blocks share: `model.vit.layers.0` is `layers.0` to anyone."""
    paths = [block.split(".") for block, _ in homes]
    shared = 0
    while paths and len({path[shared] for path in paths if len(path) > shared}) == 1:
        shared += 1
    return [
        (".".join(path[min(shared, len(path) - 1) :]), operator)
        for path, (_, operator) in zip(paths, homes, strict=True)
    ]


def _home(network: Network, point: CutPoint) -> tuple[str, str]:
    """Block and operator that made the tensor of a cut that was made last."""
    made = [network.flow.maker[name] for name in point.tensors if name in network.flow.maker]
    node = network.flow.nodes[max(made)]
    return block_of(node) or next(name for name in node.output if name in point.tensors), node.op_type


def _row(network: Network, point: CutPoint, block: str, total: tuple[int, int]) -> CutRow:
    before = network.flow.ancestors(point.tensors)
    specs = [network.spec(name) for name in point.tensors]
    items = [network.sample_items(name) for name in point.tensors]
    return CutRow(
        block=block,
        tensors=point.tensors,
        shapes=tuple(spec.row_shape for spec in specs),
        row_bytes=sum(count * ITEM_BYTES[spec.dtype] for count, spec in zip(items, specs, strict=True)),
        u8_bytes=sum(items),
        parameters_before=network.parameters(before) / total[0],
        compute_before=sum(network.macs[index] for index in before) / total[1],
        nodes_before=len(before),
    )
