"""`python -m benchmarks.text_criteria`: its table, and that it says what it lacks."""

from __future__ import annotations

import io
import json
import sys

import pytest
from rich.console import Console

from benchmarks import text_criteria


def row(before: float, after: float) -> dict[str, float | int]:
    return {"exit": 1, "accuracy_before": before, "accuracy_after": after, "auroc_before": 0.75, "auroc_after": 0.5}


def test_what_is_right_is_told_where_a_criterion_answers_otherwise_than_the_exit() -> None:
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(text_criteria.table_of({"same": [row(0.8, 0.8)], "other": [row(0.8, 0.7)]}, 100))
    (line,) = [one for one in console.export_text().splitlines() if "80.00%" in one]
    assert [cell.strip() for cell in line.strip("│").split("│")] == [
        "1",
        "80.00%",
        "0.7500",
        "0.5000",
        "0.5000, 70.00%",
    ]


def test_without_a_bundle_it_is_skipped(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["text_criteria"])
    text_criteria.main()
    assert "skipped" in json.loads(capsys.readouterr().out)["figures"]
