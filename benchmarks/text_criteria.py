"""What trained exit criteria know of texts: python -m benchmarks.text_criteria [BUNDLE --data DIR] [--quick] [--json F]

BUNDLE has trained exits (`python -m benchmarks.text` makes one), DIR `dev.tsv` and `test.tsv` with sentences that its
exits have not seen.  The arrays of every criterion are learned from dev, a fifth of which says when to stop; AUROC, the
chance that a right answer of an exit scores above a wrong one, is told of test.  Without them it is
skipped.  Needs the extras `torch` and `text`.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.harness import parser_of, report
from partitioner.examples import examples_of
from partitioner.train.criteria.base import Lesson
from partitioner.train.criteria.plan import CriterionPlan
from partitioner.train.criteria.training import compact, judged, seen, special_tokens
from partitioner.train.progress import steps_on
from partitioner.train.schedule import Schedule
from split_core import bundle as bundles
from split_core.bundle import Bundle
from split_core.errors import DataError
from split_core.traces import Traces

SCHEDULE = Schedule(epochs=100, patience=15)
PLANS: dict[str, tuple[str, dict[str, Any]]] = {
    "learned": ("learned", {}),
    "gates": ("gates", {}),
    "q_exit": ("q_exit", {}),
    "past_future": ("past_future", {}),
    "geometric_ensemble": ("geometric_ensemble", {}),
    "cascade": ("cascade", {}),
    "hash, frequency": ("hash", {"by": "frequency"}),
    "hash, mutual information": ("hash", {"by": "mutual_information"}),
}
STATES = CriterionPlan("learned", {}, SCHEDULE, 1)  # it reads hidden states, so a pass with them is kept for all


def told(bundle: Bundle, path: Path, count: int) -> Traces:
    """What every exit says of a file's texts; nothing is shown while it is asked."""
    with Progress(console=Console(stderr=True), transient=True) as bar:
        return seen(bundle, examples_of(path, bundle, count), STATES, steps_on(bar))


def rows_of(bundle: Bundle, dev: Traces, test: Traces) -> tuple[dict[str, list[dict[str, Any]]], dict[str, str]]:
    """Per criterion, a row per exit; and why some learned nothing."""
    lesson = Lesson(dev, *SCHEDULE.split(dev.samples), SCHEDULE, special_tokens(bundle))
    found, refused = {}, {}
    for title, (name, params) in PLANS.items():
        try:
            taught = CriterionPlan(name, params, SCHEDULE, 1).trainer().fit(lesson)
        except DataError as error:
            refused[title] = str(error)
            continue
        found[title] = [asdict(row) for row in judged(name, compact(taught), test)]
    return found, refused


def table_of(found: dict[str, list[dict[str, Any]]], samples: int) -> Table:
    """AUROC, and what is right where a criterion answers otherwise than its exit."""
    table = Table("exit", "right", "max_prob", *found, title=f"AUROC on {samples} sentences")
    for rows in zip(*found.values(), strict=True):
        first = rows[0]
        cells = [
            f"{row['auroc_after']:.4f}"
            + (f", {row['accuracy_after']:.2%}" if row["accuracy_after"] != row["accuracy_before"] else "")
            for row in rows
        ]
        table.add_row(str(first["exit"]), f"{first['accuracy_before']:.2%}", f"{first['auroc_before']:.4f}", *cells)
    return table


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("bundle", type=Path, nargs="?", help="with trained exits")
    parser.add_argument("--data", type=Path, help="folder with dev.tsv and test.tsv")
    options = parser.parse_args()
    if options.bundle is None or options.data is None:
        report("text_criteria", {"skipped": "give BUNDLE and --data DIR with dev.tsv and test.tsv"}, [], options)
        return
    bundle, count = bundles.load(options.bundle), 200 if options.quick else 1 << 40
    dev, test = (told(bundle, options.data / name, count) for name in ("dev.tsv", "test.tsv"))
    found, refused = rows_of(bundle, dev, test)
    Console(stderr=True, width=160).print(table_of(found, test.samples))
    figures = {"learned_from": dev.samples, "told_of": test.samples, "rows": found, "refused": refused}
    report("text_criteria", figures, [], options)


if __name__ == "__main__":
    main()
