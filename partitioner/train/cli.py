"""`offramp train`."""

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
from partitioner.examples import Examples, examples_of, taken
from partitioner.heads import TRAINABLE
from partitioner.importers.request import Request as ImportRequest
from partitioner.sources import read_network
from partitioner.train import criteria_cli
from partitioner.train.criteria import TRAINERS
from partitioner.train.criteria.plan import CriterionPlan
from partitioner.train.outcome import learned_from, show_bundle
from partitioner.train.progress import steps_on
from partitioner.train.schedule import Schedule
from partitioner.train.targets import TARGETS
from partitioner.train.targets.base import Softness
from partitioner.verify import TOLERANCE
from split_core import bundle as bundles
from split_core.bundle import Bundle
from split_core.errors import ConfigError
from split_core.params import params_from_text
from split_core.registry import resolve

if TYPE_CHECKING:  # they reach torch
    from partitioner.train.training import Plan, Request, Trained

USUAL = Schedule()
SOFT = Softness()
ALL = 1 << 40  # samples


def train(
    bundle_dir: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder with manifest.json.")],
    data: Annotated[Path, typer.Option(help="Samples: an .npz, a folder per class, a .tsv, or either without labels.")],
    out: Annotated[Path, typer.Option(help="Folder of bundles: the new one is OUT/NAME/VERSION/.")] = Path("bundles"),
    take: Annotated[str, typer.Option(help="Which of them, first:end; else all.")] = "",
    target: Annotated[
        str | None, typer.Option(help=f"{', '.join(TARGETS)}; else labels where there are some, else selfxit.")
    ] = None,
    head: Annotated[str, typer.Option(help=f"What each exit gets: {', '.join(TRAINABLE)}.")] = "linear",
    exits: Annotated[str, typer.Option(help="Numbers with commas between; else those that are untrained.")] = "",
    version: Annotated[str | None, typer.Option(help="Of the new bundle; else the old one's and the target.")] = None,
    model: Annotated[
        str | None, typer.Option(help="The network that the bundle was made from: then it is proved by that.")
    ] = None,
    validation: Annotated[float, typer.Option(help="Share of the samples to measure on.")] = USUAL.validation,
    epochs: Annotated[int, typer.Option(help="At most.", min=1)] = USUAL.epochs,
    patience: Annotated[int, typer.Option(help="Epochs without progress after which it ends.", min=1)] = USUAL.patience,
    batch: Annotated[int, typer.Option(help="Samples per step.", min=1)] = USUAL.batch,
    learning_rate: Annotated[float, typer.Option(help="At the start; it falls to 0.")] = USUAL.learning_rate,
    weight_decay: Annotated[float, typer.Option(help="Of AdamW.", min=0.0)] = USUAL.weight_decay,
    temperature: Annotated[float, typer.Option(help="For distilled.")] = SOFT.temperature,
    mix: Annotated[float, typer.Option(help="For distilled: the final exit's share.")] = SOFT.mix,
    criterion: Annotated[
        str, typer.Option(help=f"Train the arrays of an exit criterion instead of heads: {', '.join(TRAINERS)}.")
    ] = "",
    criterion_param: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Of its training; as often as needed.")
    ] = None,
    arrays: Annotated[Path | None, typer.Option(help="The .npz to write a criterion's arrays to.")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="An .npz to keep progress in, and to go on from when it is there.")
    ] = None,
    threads: Annotated[int, typer.Option(help="Of the network's run; 0 for all cores.", min=0)] = 0,
    tolerance: Annotated[float, typer.Option(help="As for verify.", min=0.0)] = TOLERANCE,
    seed: Annotated[int, typer.Option(help="Of the split, the start and the order.", min=0)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output on standard output.")] = False,
) -> None:
    """Train a bundle's exits while its network stays as it is, and write the bundle that has them.

    With --criterion no head is trained but the arrays of an exit criterion, on the heads that are there.
    """
    schedule = _schedule(epochs, patience, batch, learning_rate, weight_decay, validation, seed)
    if criterion:
        bundle = bundles.load(bundle_dir)
        params = params_from_text(criterion_param or (), "--criterion-param")
        asked = CriterionPlan(criterion, params, schedule, threads)
        return criteria_cli.run(
            bundle, lambda: _examples(data, bundle, take), asked, arrays, steps=steps_on, as_json=as_json
        )
    softness = _softness(temperature, mix)
    training: Any = resolve("partitioner.train.training:train", "offramp train", "partition,torch")
    plan_of: Callable[..., Plan] = resolve("partitioner.train.training:Plan", "offramp train", "partition,torch")
    request_of: Callable[..., Request] = resolve(
        "partitioner.train.training:Request", "offramp train", "partition,torch"
    )
    bundle = bundles.load(bundle_dir)
    examples = _examples(data, bundle, take)
    chosen = target or ("selfxit" if examples.labels is None else "labels")
    plan = plan_of(head, chosen, _exits(exits), softness, schedule)
    request = request_of(
        out=out,
        version=version or f"{bundle.manifest.version}-{chosen}",
        samples=data,
        network=read_network(model, ImportRequest()) if model else None,
        checkpoint=checkpoint,
        threads=threads,
        tolerance=tolerance,
    )
    with Progress(console=Console(stderr=True), disable=as_json, transient=True) as bar:
        trained: Trained = training(bundle, examples, plan, request, steps_on(bar))
    _show(trained, plan, as_json=as_json)


def _schedule(
    epochs: int, patience: int, batch: int, rate: float, decay: float, validation: float, seed: int
) -> Schedule:
    if not 0.0 < validation < 1.0:
        raise ConfigError(f"--validation {validation:g}: expected a share above 0 and below 1, for example 0.2")
    if not rate > 0.0:
        raise ConfigError(f"--learning-rate {rate:g}: expected more than 0, for example {USUAL.learning_rate:g}")
    return Schedule(epochs, patience, batch, rate, decay, validation, seed)


def _softness(temperature: float, mix: float) -> Softness:
    try:
        return Softness(temperature, mix)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _exits(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")] if text else []
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise ConfigError(f"--exits {text!r}: expected numbers with commas between, for example 1,2")
    return tuple(map(int, parts))


def _examples(path: Path, bundle: Bundle, take: str) -> Examples:
    wanted = take_from_text(take)
    examples = examples_of(path, bundle, ALL if wanted.stop is None else wanted.stop)
    return taken(path, examples, wanted)


def _show(trained: Trained, plan: Plan, *, as_json: bool) -> None:
    facts = {
        "head": plan.head,
        "target": plan.target,
        "samples": trained.samples[0],
        "validation_samples": trained.samples[1],
        "features_seconds": round(trained.features_seconds, 3),
        "exits": [asdict(row) for row in trained.rows],
    }
    more = f"; hidden states took {trained.features_seconds:.1f} s"
    told = learned_from(trained.samples, plan.schedule.seed, more)
    show_bundle(trained.root, exits_table(trained, plan), told, facts, as_json=as_json)


def exits_table(trained: Trained, plan: Plan) -> Table:
    """Per exit: accuracy before and after, agreement with the final exit, what it took."""
    table = Table("exit", title=f"{plan.head} heads, target {plan.target}", box=SIMPLE_HEAD, pad_edge=False)
    for title in ("features", "before", "after", "agrees with final", "epochs", "seconds"):
        table.add_column(title, justify="right")
    *rows, final = trained.rows
    for row in rows:
        table.add_row(
            str(row.exit),
            str(row.features),
            _share(row.accuracy_before),
            _share(row.accuracy_after),
            _share(row.agreement),
            f"{row.epochs[0]} of {row.epochs[1]}",
            f"{row.seconds:.1f}",
        )
    table.add_row(f"{final.exit}, final", "", _share(final.accuracy_before), _share(final.accuracy_after), "", "", "")
    return table


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.2%}"
