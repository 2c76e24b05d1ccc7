"""`offramp train joint`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from partitioner.data import take_from_text
from partitioner.train.joint.options import LossOptions, NetworkOptions, StepOptions, plan_of
from partitioner.train.joint.plan import JointPlan
from partitioner.train.joint.rows import Epoch
from partitioner.train.outcome import learned_from, show_bundle
from partitioner.train.progress import steps_on
from partitioner.verify import TOLERANCE
from split_core.option_groups import grouped
from split_core.registry import resolve

if TYPE_CHECKING:  # it reaches torch
    from partitioner.train.joint.training import JointlyTrained


@grouped
def train_joint(
    model: Annotated[str, typer.Argument(metavar="MODULE", help="package.module:factory of a torch module.")],
    data: Annotated[Path, typer.Option(help="Labelled samples: an .npz, a folder per class, or a .tsv.")],
    network: NetworkOptions,
    loss: LossOptions,
    stepping: StepOptions,
    out: Annotated[Path, typer.Option(help="Folder of bundles: the new one is OUT/NAME/VERSION/.")] = Path("bundles"),
    take: Annotated[str, typer.Option(help="Which samples, first:end; else all.")] = "",
    checkpoint: Annotated[
        Path | None, typer.Option(help="An .npz to keep progress in, and to go on from when it is there.")
    ] = None,
    threads: Annotated[int, typer.Option(help="Of torch; 0 for its own choice.", min=0)] = 0,
    tolerance: Annotated[float, typer.Option(help="As for verify.", min=0.0)] = TOLERANCE,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output on standard output.")] = False,
) -> None:
    """Train a torch module and all its exits at once, and write the bundle that has them."""
    plan, wanted = plan_of(loss, stepping), take_from_text(take)
    run: Any = resolve("partitioner.train.joint.run:run", "offramp train joint", "partition,torch")
    work: Any = resolve("partitioner.train.joint.run:Work", "offramp train joint", "partition,torch")
    with Progress(console=Console(stderr=True), disable=as_json, transient=True) as bar:
        trained, root = run(
            work(model, data, wanted, network, out, checkpoint, threads, tolerance),
            plan,
            steps_on(bar),
            _unsaid if as_json else _teller(bar, plan),
        )
    _show(trained, root, plan, as_json=as_json)


def _unsaid(number: int, epoch: Epoch) -> None:
    """Machines read of all epochs at the end."""


def _teller(bar: Progress, plan: JointPlan) -> Callable[[int, Epoch], None]:
    def tell(number: int, epoch: Epoch) -> None:
        shares = "  ".join(f"{share:.2%}" for share in epoch.right)
        bar.console.print(f"epoch {number} of {plan.epochs}: right {shares}", highlight=False)

    return tell


def _show(trained: JointlyTrained, root: Path, plan: JointPlan, *, as_json: bool) -> None:
    facts = {
        "plan": asdict(plan),
        "samples": trained.samples[0],
        "validation_samples": trained.samples[1],
        "best_epoch": trained.best_epoch,
        "epochs": [asdict(epoch) for epoch in trained.history],
        "seconds": round(trained.seconds, 3),
        "exits": [asdict(row) for row in trained.rows],
    }
    more = f"; epoch {trained.best_epoch} of {len(trained.history)} is kept; {trained.seconds:.0f} s"
    show_bundle(
        root, exits_table(trained, plan), learned_from(trained.samples, plan.seed, more), facts, as_json=as_json
    )


def exits_table(trained: JointlyTrained, plan: JointPlan) -> Table:
    """Per exit: accuracy, agreement with the final exit, loss."""
    title = f"{plan.way} training, {plan.weighting} weights, target {plan.target}"
    table = Table("exit", title=title, box=SIMPLE_HEAD, pad_edge=False)
    for column in ("right", "agrees with final", "loss"):
        table.add_column(column, justify="right")
    for row in trained.rows:
        last = ", final" if row is trained.rows[-1] else ""
        table.add_row(f"{row.exit}{last}", f"{row.accuracy:.2%}", f"{row.agreement:.2%}", f"{row.loss:.4f}")
    return table
