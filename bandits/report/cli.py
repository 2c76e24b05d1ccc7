"""`offramp report DIR`: tables on the terminal, and DIR/report.html from the two JSON files in DIR."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bandits.report.findings import honest_sentences
from bandits.report.page import page
from bandits.report.result import Result, result_from, series_from
from bandits.report.table import markdown_table, terminal_table
from split_core.files import write_atomically
from split_core.registry import resolve


def report(
    directory: Annotated[Path, typer.Argument(help="Folder with result.json and series.json of 'offramp demo'.")],
    markdown: Annotated[bool, typer.Option("--markdown", help="Print GitHub tables and write nothing.")] = False,
    png: Annotated[
        Path | None, typer.Option(help="Also write accuracy_cost.png and outage.png to this folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the paths written as JSON, no tables.")] = False,
) -> None:
    """Write DIRECTORY/report.html, one file that opens offline, and print its tables."""
    result = result_from(directory)
    if markdown:
        typer.echo(_markdown(result), nl=False)
        return
    written = _write(result, directory, png)
    if as_json:
        typer.echo(json.dumps({"report": str(written[0]), "pictures": [str(path) for path in written[1:]]}))
        return
    _print_tables(result)
    for path in written:
        typer.echo(f"wrote {path}")


def _write(result: Result, directory: Path, png: Path | None) -> list[Path]:
    series = series_from(directory)
    # Resolved by name, so that a missing matplotlib names the extra to install.
    drawings = resolve("bandits.report.plots.canvas:drawings", "'offramp report'", "report")
    path = directory / "report.html"
    write_atomically(path, page(result, drawings(result, series)).encode())
    if png is None:
        return [path]
    pictures = resolve("bandits.report.plots.canvas:pictures", "'offramp report --png'", "report")
    return [path, *pictures(result, series, png)]


def _markdown(result: Result) -> str:
    return "\n".join(f"Ship: {name}\n\n{markdown_table(result, name)}" for name in result.runs)


def _print_tables(result: Result) -> None:
    console = Console(soft_wrap=True)
    for name, run in result.runs.items():
        console.print(terminal_table(result, name))
        for sentence in honest_sentences(run):
            console.print(sentence, markup=False, highlight=False)
        console.print()
