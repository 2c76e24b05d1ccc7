"""Run every benchmark and print one table of goals: python -m benchmarks.all [--quick] [--out build/bench]

A goal that is not met is printed as such, and fails nothing; a benchmark that breaks fails the run.  Without torch
those that need it are left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
NOT_BENCHMARKS = {"__init__", "all", "criteria_data", "families", "harness", "models", "modules"}
NOT_BENCHMARKS |= {"cifar_data", "cifar_train", "criteria_cifar", "criteria_pcee", "criteria_plot", "resnet"}
NOT_BENCHMARKS |= {
    "outage_client",
    "outage_site",
    "outage_spoiler",
    "bandit_peers",
    "drift_damage",
    "drift_stream",
    "regret_traces",
    "sentiment",
    "text_drift",
}
NEED_TORCH = {"pretrained"}


def names() -> list[str]:
    """Every script of this folder that is a benchmark and can run here."""
    left_out = NOT_BENCHMARKS if importlib.util.find_spec("torch") else NOT_BENCHMARKS | NEED_TORCH
    return sorted(path.stem for path in HERE.glob("*.py") if path.stem not in left_out)


def run(name: str, out: Path, quick: bool) -> dict[str, Any] | None:
    """One benchmark in a process of its own; None when it broke."""
    target = out / f"{name}.json"
    target.unlink(missing_ok=True)
    words = [sys.executable, "-m", f"benchmarks.{name}", "--json", str(target), *(["--quick"] if quick else [])]
    with (out / f"{name}.log").open("w", encoding="utf-8") as log:
        done = subprocess.run(words, stdout=log, stderr=subprocess.STDOUT, cwd=HERE.parent, check=False)
    document: dict[str, Any] | None = json.loads(target.read_text(encoding="utf-8")) if not done.returncode else None
    return document


def goals_table(documents: list[dict[str, Any]]) -> Table:
    """All goals of all benchmarks."""
    table = Table(title="goals")
    for column in ("benchmark", "figure", "value", "goal", "met", "against"):
        table.add_column(column, justify="right" if column in ("value", "goal") else "left")
    for document in documents:
        for goal in document["goals"]:
            met = "[green]yes[/]" if goal["met"] else "[red]no[/]"
            value = f"{goal['value']:g} {goal['unit']}"
            table.add_row(document["benchmark"], goal["figure"], value, f"{goal['goal']:g}", met, goal["against"])
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--out", type=Path, default=Path("build/bench"), metavar="FOLDER")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    console, documents, broken = Console(), [], []
    for name in names():
        with console.status(name):
            document = run(name, options.out, options.quick)
        if document is None:
            broken.append(name)
            console.print(f"[red]{name} broke[/]; see {options.out / name}.log")
        else:
            documents.append(document)
            console.print(f"{name}: {options.out / name}.json")
    console.print(goals_table(documents))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
