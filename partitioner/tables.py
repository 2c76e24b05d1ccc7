"""What `offramp partition` and `offramp verify` print."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from partitioner.listing import CutRow
from split_core.manifest import Manifest, Piece
from split_core.tensors import Dim

Columns = Mapping[str, Sequence[str]]  # title -> cells
WORDS = ("cut", "segment", "behind", "ends behind", "tensors")  # on the left, and folded where they must be


def cuts_table(rows: Sequence[CutRow], chosen: tuple[tuple[str, ...], ...], width: int) -> Table:
    """Every valid cut, with the shares of parameters and compute before it; those that are chosen carry numbers.

    Args:
        rows: the cuts, in the order of depth.
        chosen: tensors of those that were chosen.
        width: columns of the terminal; where they are few, tensors and then shapes are left out.
    """
    numbers = {tensors: str(k) for k, tensors in enumerate(chosen, 1)}
    return _fitting(f"{len(rows)} cuts", width, _cut_columns(rows, numbers), optional=("tensors", "shape"))


def _cut_columns(rows: Sequence[CutRow], numbers: Mapping[tuple[str, ...], str]) -> Columns:
    return {
        "cut": [numbers.get(row.tensors, "") for row in rows],
        "behind": [row.block for row in rows],
        "tensors": [" + ".join(row.tensors) for row in rows],
        "shape": [" + ".join(map(_shape, row.shapes)) for row in rows],
        "raw KB": [_kilobytes(row.row_bytes) for row in rows],
        "8-bit KB": [_kilobytes(row.u8_bytes) for row in rows],
        "parameters": [f"{row.parameters_before:.0%}" for row in rows],
        "compute": [f"{row.compute_before:.0%}" for row in rows],
    }


def pieces_table(manifest: Manifest, width: int) -> Table:
    """Segments with their sizes, and what crosses behind them.

    Args:
        manifest: the bundle's.
        width: columns of the terminal; where they are few, tensors and then shapes are left out.
    """
    sizes, last = manifest.axes_at(), manifest.exits
    crossing = [[tensor.spec for tensor in cut.tensors] for cut in manifest.cuts[1:]] + [[]]
    columns = {
        "segment": [str(k) for k in range(1, last + 1)],
        "ends behind": [*(cut.block for cut in manifest.cuts[1:]), "the end"],
        "tensors": [" + ".join(spec.name for spec in specs) for specs in crossing],
        "shape": [" + ".join(_shape(spec.row_shape) for spec in specs) for specs in crossing],
        "raw KB": [_kilobytes(sum(spec.row_bytes(sizes) for spec in specs) or None) for specs in crossing],
        "8-bit KB": [_kilobytes(sum(math.prod(spec.sized(sizes)) for spec in specs) or None) for specs in crossing],
        "segment KB": [_kilobytes(_bytes(segment)) for segment in manifest.segments],
        "head KB": [_head(manifest, k) for k in range(1, last + 1)],
    }
    return _fitting(f"{manifest.name} {manifest.version}", width, columns, optional=("tensors", "shape"))


def _fitting(title: str, width: int, columns: Columns, optional: Sequence[str]) -> Table:
    """A table with all columns, or without the first few of `optional` if they do not fit."""
    left_out: list[str] = []
    for name in optional:
        if _width(columns, left_out) > width:
            left_out.append(name)
    caption = f"{' and '.join(left_out)}: in a wider window, or with --json" if left_out else None
    table = Table(title=title, caption=caption, box=SIMPLE_HEAD, pad_edge=False, caption_justify="left")
    shown = {name: cells for name, cells in columns.items() if name not in left_out}
    for name in shown:
        words = name in WORDS
        # Names may be folded; numbers are shown whole, whatever the width.
        table.add_column(name, justify="left" if words else "right", no_wrap=not words, overflow="fold")
    for cells in zip(*shown.values(), strict=True):
        table.add_row(*cells)
    return table


def _width(columns: Columns, left_out: Sequence[str]) -> int:
    """Characters of a line, with two between columns and one more at either end of the box's."""
    shown = {name: cells for name, cells in columns.items() if name not in left_out}
    return sum(max(map(len, (name, *cells))) + 3 for name, cells in shown.items())


def _bytes(piece: Piece) -> int:
    return piece.bytes + sum(file.bytes for file in piece.weights)


def _head(manifest: Manifest, k: int) -> str:
    if k > len(manifest.heads):
        return ""
    head = manifest.heads[k - 1]
    return _kilobytes(_bytes(head)) + ("" if head.trained else ", untrained")


def certificate_table(certificate: dict[str, Any]) -> Table:
    """What was proved of every cut, exit and output."""
    table = Table("", "pieces = whole", "up to level", title="certificate", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("difference as deployed", justify="right")
    table.add_column("labels agree", justify="right")
    for entry in certificate["cuts"]:
        _proved(table, f"cut {entry['cut']}", entry, "")
    for entry in certificate["exits"]:
        _proved(table, f"exit {entry['exit']}", entry, f"{entry['deployed_label_agreement']:.2%}")
    for entry in certificate["outputs"]:
        _proved(table, entry["tensor"], entry, "")
    return table


def _proved(table: Table, what: str, entry: dict[str, Any], agreement: str) -> None:
    difference = entry["deployed_max_difference"]
    table.add_row(
        what,
        "bit-equal" if entry["bit_equal_off"] else "NOT equal",
        entry["highest_exact_level"] or "none",
        "unbounded" if difference is None else f"{difference:.1e}",
        agreement,
    )


def _shape(dims: Sequence[Dim]) -> str:
    return "x".join(map(str, dims))


def _kilobytes(count: int | None) -> str:
    return "" if count is None else f"{count / 1000:.1f}"
