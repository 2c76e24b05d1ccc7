"""What `offramp train --criterion` does and prints."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from partitioner.examples import Examples
from partitioner.train.criteria.plan import CriterionPlan
from partitioner.train.criteria.training import Steps, Trained, train_criterion
from partitioner.train.outcome import learned_from
from split_core.bundle import Bundle
from split_core.errors import ConfigError


def run(
    bundle: Bundle,
    read: Callable[[], Examples],
    plan: CriterionPlan,
    arrays: Path | None,
    *,
    steps: Callable[[Progress], Any],
    as_json: bool,
) -> None:
    """Train one criterion, and print what its score is worth.

    Args:
        bundle: whose heads answer.
        read: reads the samples, once everything else is known to be right.
        plan: what and how.
        arrays: the `.npz` to write.
        steps: makes what shows progress from a bar.
        as_json: machine-readable output.

    Raises:
        ConfigError: no file to write to is named.
        SplitError: see `train_criterion`.
    """
    if arrays is None or arrays.suffix != ".npz":
        raise ConfigError("--criterion needs --arrays FILE.npz, where its arrays are written to")
    plan.trainer()
    with Progress(console=Console(stderr=True), disable=as_json, transient=True) as bar:
        shown: Steps = steps(bar)
        trained = train_criterion(bundle, read(), plan, arrays, shown)
    if as_json:
        print(
            json.dumps({"arrays": str(arrays), "criterion": plan.criterion, "bundle_id": bundle.id, **asdict(trained)})
        )
        return
    console = Console()
    console.print(rows_table(trained, plan))
    truth = "" if trained.labelled else "; without labels the final exit's answers are the truth"
    stopped = f"; epoch {trained.epochs[0]} of {trained.epochs[1]} is kept" if trained.epochs[1] else ""
    console.print(learned_from(trained.samples, plan.schedule.seed, f"{stopped}{truth}"))
    console.print(f"wrote {arrays}, sha256 {trained.sha256[:12]}", soft_wrap=True)


def rows_table(trained: Trained, plan: CriterionPlan) -> Table:
    """Per exit: how well the score tells right from wrong, beside the largest probability on the same samples."""
    table = Table("exit", title=f"{plan.criterion}, on samples not learned from", box=SIMPLE_HEAD, pad_edge=False)
    for title in ("right", "AUROC max_prob", "right after", f"AUROC {plan.criterion}"):
        table.add_column(title, justify="right")
    for row in trained.rows:
        cells = (
            f"{row.accuracy_before:.2%}",
            _area(row.auroc_before),
            f"{row.accuracy_after:.2%}",
            _area(row.auroc_after),
        )
        table.add_row(str(row.exit), *cells)
    return table


def _area(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
