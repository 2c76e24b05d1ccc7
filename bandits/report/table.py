"""The table of policies: one list of columns, as a rich table, as Markdown, and as cells for the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from bandits.report.figures import cost, count, fixed, percent, shares
from bandits.report.names import OURS, in_reading_order, mark_of
from bandits.report.result import Figures, Result, Row, Run, result_of


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of a policy: its heading, its unit, and how it is written."""

    heading: str
    unit: str
    text: Callable[[Figures], str]
    terminal: bool = False  # one of those that fit into 80 columns

    @property
    def title(self) -> str:
        """Heading and unit in one line."""
        return f"{self.heading}, {self.unit}" if self.unit else self.heading


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: a policy, live or replayed."""

    name: str
    how: str
    figures: Figures

    @property
    def cells(self) -> list[str]:
        """The figures, in the order of `COLUMNS`."""
        return [column.text(self.figures) for column in COLUMNS]


def _latency(part: str) -> Callable[[Figures], str]:
    return lambda figures: fixed(getattr(figures.latency_ms, part, None), 1)


COLUMNS = (
    Column("frames", "", lambda figures: count(figures.frames)),
    Column("accuracy", "%", lambda figures: percent(figures.accuracy, 2), terminal=True),
    Column("agrees", "%", lambda figures: percent(figures.agreement, 2)),
    Column("mean", "ms", _latency("mean"), terminal=True),
    Column("p50", "ms", _latency("p50")),
    Column("p95", "ms", _latency("p95"), terminal=True),
    Column("p99", "ms", _latency("p99")),
    Column("sent", "KB", lambda figures: fixed(figures.kb_per_frame, 2), terminal=True),
    Column("per exit", "%", lambda figures: shares(figures.exit_share)),
    Column("offload", "%", lambda figures: percent(figures.offload_share), terminal=True),
    Column("cost", "", lambda figures: cost(figures.mean_cost), terminal=True),
    Column("regret", "", lambda figures: fixed(figures.regret, 1), terminal=True),
    Column("misses", "", lambda figures: count(figures.deadline_misses), terminal=True),
    Column("degraded", "", lambda figures: count(figures.degraded)),
)


def lines_of(run: Run) -> Iterator[Line]:
    """Every line in reading order: trivial policies first, a live line directly above its replay."""
    for name in in_reading_order(row.name for row in run.policies):
        for row in run.policies:
            if row.name == name:
                yield from _lines_of_row(row)


def _lines_of_row(row: Row) -> Iterator[Line]:
    yield Line(row.name, "live" if row.live else "replayed", row)
    if row.replayed is not None:
        yield Line(row.name, "replayed", row.replayed)


def run_of(result: Result | Mapping[str, Any], run: str) -> Run:
    """The run named `"any"` or `"hidden"` of a result, also of one just parsed from JSON.

    Raises:
        ValueError: the result has no such run.
        ArtefactError: the JSON lacks a key.
    """
    checked = result if isinstance(result, Result) else result_of(result)
    for name, found in checked.runs.items():
        if name == run:
            return found
    raise ValueError(f"no run {run!r} in this result; there are: {', '.join(checked.runs)}")


def terminal_table(result: Result | Mapping[str, Any], run: str) -> Table:
    """The policies of one run, for a terminal: every row, and the columns that fit into 80 characters."""
    table = Table(title=f"Policies, ship: {run}", title_justify="left", pad_edge=False, padding=(0, 1, 0, 0), box=None)
    table.add_column("policy", overflow="fold")
    table.add_column("how")
    for column in (column for column in COLUMNS if column.terminal):
        table.add_column(f"{column.heading}\n{column.unit}".strip(), justify="right", no_wrap=True)
    previous = ""
    for line in lines_of(run_of(result, run)):
        label = "" if line.name == previous else mark_of(line.name).short
        cells = [column.text(line.figures) for column in COLUMNS if column.terminal]
        table.add_row(label, line.how, *cells, style="bold" if line.name == OURS else None)
        previous = line.name
    return table


def markdown_table(result: Result | Mapping[str, Any], run: str) -> str:
    """The policies of one run, as a GitHub table; ends with a newline."""
    heads = ["policy", "how", *(column.title for column in COLUMNS)]
    rules = [":--", ":--", *("--:" for _ in COLUMNS)]
    rows = [_markdown_cells(line) for line in lines_of(run_of(result, run))]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in [heads, rules, *rows])


def _markdown_cells(line: Line) -> list[str]:
    label = mark_of(line.name).label.replace("|", "\\|")
    return [f"**{label}**" if line.name == OURS else label, line.how, *line.cells]
