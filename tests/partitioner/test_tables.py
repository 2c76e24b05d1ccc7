"""What `offramp partition` prints in windows of any width."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from partitioner.listing import CutRow
from partitioner.tables import cuts_table, pieces_table
from split_core import bundle
from split_core.cli import main

ROWS = [
    CutRow(
        block=f"encoder.layer.{k}.attention.output.LayerNorm",
        tensors=(f"add_{k}", f"mask_{k}"),
        shapes=((196, 768 + k), (1, 1, 196)),
        row_bytes=38_535_100 + 100 * k,
        u8_bytes=9_633_700 + 100 * k,
        parameters_before=k / 10,
        compute_before=k / 9,
        nodes_before=k,
    )
    for k in range(1, 9)
]


def printed(table: Table, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= width
    return text


@pytest.mark.parametrize("width", [80, 100, 160])
def test_no_window_loses_a_number_or_part_of_a_name(width: int) -> None:
    text = printed(cuts_table(ROWS, (ROWS[2].tensors,), width), width)
    assert "…" not in text
    words = text.split()
    for row in ROWS:
        assert f"{row.row_bytes / 1000:.1f}" in words
        assert f"{row.u8_bytes / 1000:.1f}" in words
        assert f"{row.compute_before:.0%}" in words
        assert row.block in text.replace("\n", "") or width == 80
    assert ("mask_3" in text) == (width == 160)
    assert ("in a wider window" in text) == (width != 160)


def test_the_pieces_fit_into_eighty_columns(tiny_bundle: Path) -> None:
    manifest = bundle.load(tiny_bundle).manifest
    text = printed(pieces_table(manifest, 80), 80)
    for piece in manifest.pieces():
        assert f"{piece.bytes / 1000:.1f}" in text.split()
    assert "…" not in text
    assert "hidden_1" in printed(pieces_table(manifest, 160), 160)


def test_a_pipe_gets_all_columns(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert main(["partition", "configs/demo/network.onnx", "--list-cuts"]) == 0
    text = capsys.readouterr().out
    assert "getitem_6 + hidden_1" in text
    assert "wider" not in text
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["partition", "configs/demo/network.onnx", "--list-cuts"]) == 0
    text = capsys.readouterr().out
    assert "tensors and shape: in a wider window, or with --json" in text
    assert "31.4        7.8" in text
