from __future__ import annotations

import pytest
from rich.console import Console

from bandits.report.figures import MINUS, MISSING, cost, fixed, more_or_less, relative
from bandits.report.names import MARKS, in_reading_order
from bandits.report.palette import LIGHT
from bandits.report.plots.policies import spread, thinned
from bandits.report.table import COLUMNS, markdown_table, terminal_table
from split_core.errors import ArtefactError


def cells_of(markdown: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in markdown.splitlines()]


def test_the_markdown_table_has_one_row_per_live_or_replayed_line_in_reading_order(document):
    head, rule, *rows = cells_of(markdown_table(document, "any"))
    assert len(head) == len(rule) == len(COLUMNS) + 2
    assert {len(row) for row in rows} == {len(head)}
    assert [row[0] for row in rows][:5] == ["Edge only", "Edge only", "Cloud only", "Cloud only", "Random arm"]
    assert [row[:2] for row in rows][-2:] == [
        ["**Offramp: sequential (default)**", how] for how in ("live", "replayed")
    ]


def test_the_markdown_figures_are_those_of_the_file(document):
    rows = cells_of(markdown_table(document, "hidden"))
    edge = document["runs"]["hidden"]["policies"][0]
    shown = dict(zip(rows[0], rows[2], strict=True))
    assert shown["accuracy, %"] == f"{100 * edge['accuracy']:.2f}"
    assert shown["p95, ms"] == f"{edge['latency_ms']['p95']:.1f}"
    assert shown["cost"] == f"{edge['mean_cost']:.2f}"
    assert shown["per exit, %"] == "0/0/0/0/0/100"
    assert shown["misses"] == str(edge["deadline_misses"])


def test_a_hidden_run_has_no_cloud_only_row(document):
    assert "Cloud only" in markdown_table(document, "any")
    assert "Cloud only" not in markdown_table(document, "hidden")


def test_the_terminal_table_fits_into_eighty_columns_without_cutting_a_figure(document):
    console = Console(width=80)
    with console.capture() as captured:
        console.print(terminal_table(document, "any"))
    assert "\u2026" not in captured.get()
    assert max(map(len, captured.get().splitlines())) <= 80
    assert f"{document['runs']['any']['policies'][-1]['mean_cost']:.2f}" in captured.get()


def test_a_run_that_is_not_there_is_refused_by_name(document):
    with pytest.raises(ValueError, match=r"no run 'none'.*any, hidden"):
        markdown_table(document, "none")


def test_a_document_without_a_key_is_refused_with_its_place(document):
    del document["outage"]["duplicates"]
    with pytest.raises(ArtefactError, match=r"result: outage\.duplicates: expected a value"):
        markdown_table(document, "any")


def test_unmeasured_figures_are_dashes_and_negative_ones_carry_a_true_minus():
    assert fixed(None, 2) == MISSING
    assert fixed(-1234.5, 1) == f"{MINUS}1,234.5"
    assert (cost(0.01234), cost(12.345)) == ("0.0123", "12.35")
    assert relative(1.0, 0.0) is None
    assert more_or_less(-0.25) == "25.0 % less"
    assert more_or_less(0.00001) == "the same"


def test_unknown_policies_stand_between_the_known_ones_and_ours():
    assert in_reading_order(["sequential", "novel", "ucbee", "edge_only", "sequential"]) == [
        "edge_only",
        "ucbee",
        "novel",
        "sequential",
    ]


def test_no_two_policies_share_a_symbol_or_a_colour():
    assert len({mark.marker for mark in MARKS.values()}) == len(MARKS)
    assert len({LIGHT[mark.colour] for mark in MARKS.values()}) == len(MARKS)


def test_spread_labels_keep_their_distance_their_order_and_the_ceiling():
    placed = spread([0.5, 0.99, 0.52, 3.0, 0.1], gap=0.1, ceiling=1.0)
    assert placed == pytest.approx([0.5, 0.9, 0.6, 1.0, 0.1])


def test_thinned_lines_keep_their_ends():
    values = [float(value) for value in range(1000)]
    assert thinned(values, 10)[0] == 0.0
    assert thinned(values, 10)[-1] == 999.0
    assert len(thinned(values, 10)) == 10
    assert thinned(values[:5], 10) == values[:5]
