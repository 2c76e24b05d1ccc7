"""What `offramp partition` and `offramp verify` print."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from partitioner.listing import CutRow
from split_core.bundle import Manifest
from split_core.tensors import Dim


def cuts_table(rows: Sequence[CutRow], chosen: tuple[tuple[str, ...], ...]) -> Table:
    """Every valid cut, with the shares of parameters and compute before it; those that are chosen carry numbers."""
    table = Table("cut", "behind", "tensors", title=f"{len(rows)} cuts", box=SIMPLE_HEAD, pad_edge=False)
    for title in ("shape", "raw KB", "8-bit KB", "parameters", "compute"):
        table.add_column(title, justify="right")
    numbers = {tensors: str(k) for k, tensors in enumerate(chosen, 1)}
    for row in rows:
        table.add_row(
            numbers.get(row.tensors, ""),
            row.block,
            " + ".join(row.tensors),
            " + ".join(map(_shape, row.shapes)),
            _kilobytes(row.row_bytes),
            _kilobytes(row.u8_bytes),
            f"{row.parameters_before:.0%}",
            f"{row.compute_before:.0%}",
        )
    return table


def pieces_table(manifest: Manifest) -> Table:
    """Segments with their sizes, and what crosses behind them."""
    title = f"{manifest.name} {manifest.version}"
    table = Table("segment", "ends behind", "crosses", title=title, box=SIMPLE_HEAD, pad_edge=False)
    for column in ("shape", "raw KB", "8-bit KB", "segment KB", "head KB"):
        table.add_column(column, justify="right")
    sizes = manifest.axes_at()
    for k, segment in enumerate(manifest.segments, 1):
        inner = k < manifest.exits
        tensors = [tensor.spec for tensor in manifest.cuts[k].tensors] if inner else []
        table.add_row(
            str(k),
            manifest.cuts[k].block if inner else "the end",
            " + ".join(spec.name for spec in tensors) or "the answer",
            " + ".join(_shape(spec.row_shape) for spec in tensors),
            _kilobytes(sum(spec.row_bytes(sizes) for spec in tensors) or None),
            _kilobytes(sum(math.prod(spec.sized(sizes)) for spec in tensors) or None),
            _kilobytes(segment.bytes),
            _head(manifest, k),
        )
    return table


def _head(manifest: Manifest, k: int) -> str:
    if k > len(manifest.heads):
        return ""
    head = manifest.heads[k - 1]
    return _kilobytes(head.bytes) + ("" if head.trained else ", untrained")


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
