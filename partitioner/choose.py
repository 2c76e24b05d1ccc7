"""Which cuts to take: a few by bytes and spread, the user's by name, or all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from partitioner.cuts import CHEAP
from partitioner.listing import CutRow
from partitioner.network import Network
from split_core.errors import ModelError
from split_core.registry import suggestion

DOUBLINGS = 4  # so many times twice the bytes are as bad as segments half as even as they could be
LEAST = 0.02  # share of the work that a segment should have where nobody says how many there are

Best = dict[int, tuple[float, tuple[int, ...]]]  # last cut -> cost so far, and the cuts


def successive(network: Network, rows: Sequence[CutRow]) -> list[CutRow]:
    """As many of the cuts as follow one another: each can be computed from the one before it.

    Cuts of width two may lie side by side, in parallel branches.  Of those the first is kept.
    """
    kept: list[CutRow] = []
    for row in rows:
        if not kept or follows(network, kept[-1].tensors, row.tensors):
            kept.append(row)
    return kept


def follows(network: Network, before: Sequence[str], after: Sequence[str]) -> bool:
    """Does the cut `after` follow from `before`, at no more than a cheap repetition of work?"""
    flow = network.flow
    inside = flow.ancestors(after, stop=before)
    needed = {name for index in inside for name in flow.taken[index]} | set(after)
    if not needed.isdisjoint(set(flow.inputs) - set(before)):
        return False
    done = flow.ancestors(before)
    again = (inside & done) | ((done & network.trunk) - flow.ancestors(after))  # what is dropped is made again behind
    return sum(network.macs[index] for index in again) <= CHEAP * sum(network.macs)


def choose(rows: Sequence[CutRow], count: int, progress: Sequence[float]) -> list[CutRow]:
    """`count` of the successive cuts `rows` that are spread evenly and carry little.

    The chosen ones minimise *spread* + *bytes*.  Spread is (count + 1) times the sum of the squared shares
    of work between neighbours: 1 when all segments are equally long.  Bytes is the mean over the chosen of
    log2(bytes / fewest bytes of any cut), divided by `DOUBLINGS`.

    Args:
        rows: candidates, in the order of depth.
        count: how many; at least 1.
        progress: for each row the share of the work that lies before it, in [0, 1]: compute, or time.

    Raises:
        ModelError: there are fewer than `count`.
    """
    if count > len(rows):
        raise ModelError(f"--cuts {count}: the network has {len(rows)} successive cuts; ask for fewer, or more --width")
    fewest = min(row.u8_bytes for row in rows)
    weights = [math.log2(row.u8_bytes / fewest) / DOUBLINGS / count for row in rows]
    best: Best = {place: ((count + 1) * progress[place] ** 2 + weights[place], (place,)) for place in range(len(rows))}
    for _ in range(count - 1):
        best = _one_more(best, weights, progress, count)
    ends = ((cost + (count + 1) * (1 - progress[path[-1]]) ** 2, path) for cost, path in best.values())
    return [rows[place] for place in min(ends)[1]]


def choose_some(rows: Sequence[CutRow], most: int, progress: Sequence[float]) -> list[CutRow]:
    """As `choose`, with at most `most` cuts, and fewer where a segment would have next to nothing to do."""
    inner = [(row, done) for row, done in zip(rows, progress, strict=True) if LEAST <= done <= 1.0 - LEAST]
    candidates = [row for row, _ in inner] or list(rows)
    shares = [done for _, done in inner] or list(progress)
    for count in range(min(most, len(candidates)), 1, -1):
        chosen = choose(candidates, count, shares)
        ends = [0.0, *(shares[candidates.index(row)] for row in chosen), 1.0]
        if min(after - before for before, after in pairwise(ends)) >= LEAST:
            return chosen
    return choose(candidates, 1, shares)


def _one_more(best: Best, weights: Sequence[float], progress: Sequence[float], count: int) -> Best:
    """The best choices with one more cut, by their last cut."""
    longer: Best = {}
    for place in range(len(weights)):
        options = (
            (cost + (count + 1) * (progress[place] - progress[last]) ** 2 + weights[place], (*path, place))
            for last, (cost, path) in best.items()
            if last < place
        )
        found = min(options, default=None)
        if found is not None:
            longer[place] = found
    return longer


def named(network: Network, rows: Sequence[CutRow], names: Sequence[str]) -> list[CutRow]:
    """The cuts that a user names: by tensor, or by block, which means behind all of it.

    Raises:
        ModelError: a name that is no cut, one that is given twice, or two in the wrong order.
    """
    chosen = [_find(rows, name) for name in names]
    for before, after, first, second in zip(chosen, chosen[1:], names, names[1:], strict=False):
        if before == after:
            raise ModelError(f"--cuts: {first} and {second} are the same cut")
        if rows.index(after) < rows.index(before):
            raise ModelError(f"--cuts: {second} is before {first}; give the cuts in the order of the network")
        if not follows(network, before.tensors, after.tensors):
            raise ModelError(f"--cuts: {second} does not follow from {first}; they lie in parallel branches")
    return chosen


def _find(rows: Sequence[CutRow], name: str) -> CutRow:
    whole = [row for row in rows if name == "+".join(row.tensors)]
    block = [row for row in rows if name == row.block]
    inside = [row for row in rows if row.block.startswith((f"{name}.", f"{name} "))]
    first = [row for row in rows if name == row.tensors[0]]
    found = whole or block or first or inside
    if not found:
        known = list(dict.fromkeys(word for row in rows for word in (row.block, row.tensors[0])))
        raise ModelError(f"--cuts: no cut named {name!r}{suggestion(name, known)}; --list-cuts shows all")
    return found[-1]
