"""`offramp partition` and `offramp verify`."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.console import Console

from partitioner import build
from partitioner.build import Plan, Wish
from partitioner.cuts import WIDTH
from partitioner.data import samples_of, take_from_text
from partitioner.findings import summary
from partitioner.importers.request import Request
from partitioner.inputs import arguments, axis_sizes, input_specs
from partitioner.listing import list_cuts
from partitioner.manifest import Identity, NetworkFile
from partitioner.network import Network
from partitioner.picture import Drawing, Input, drawing_of, input_of, picture_of
from partitioner.precision import asked
from partitioner.precision.rounding import Rounding
from partitioner.precision.tables import precision_table
from partitioner.sources import name_of, read_network
from partitioner.tables import certificate_table, cuts_table, pieces_table
from partitioner.timing import OWN_TIME
from partitioner.verify import TOLERANCE, Trial
from split_core import bundle as bundles
from split_core import profiles
from split_core.bundle import Bundle
from split_core.config import load
from split_core.errors import ConfigError, reason

Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="The network: an .onnx or .pt2 file, or package.module:factory.")
]
Args = Annotated[list[str] | None, typer.Option("--arg", help="KEY=VALUE for the factory; as often as needed.")]
Inputs = Annotated[
    list[str] | None,
    typer.Option("--input", help="What a torch module takes: x=batch,3,224,224 or ids=int64:batch,sequence(16:24)."),
]
Axes = Annotated[
    list[str] | None, typer.Option("--axis", help="Two sizes that a dynamic axis may have: sequence=16:24.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output on standard output.")]
Seed = Annotated[int, typer.Option(help="Of the random inputs that the proof uses.", min=0)]
Tolerance = Annotated[
    float, typer.Option(help="Greatest difference as deployed, as a share of the greatest value.", min=0.0)
]

ROOM = 240  # columns of a file


def partition(
    ctx: typer.Context,
    model: Model,
    out: Annotated[Path, typer.Option(help="Folder of bundles: the bundle is OUT/NAME/VERSION/.")] = Path("bundles"),
    cuts: Annotated[
        str | None,
        typer.Option(help="How many, or names with commas between, or all; else the network's own, else 5."),
    ] = None,
    show_cuts: Annotated[bool, typer.Option("--list-cuts", help="Print every valid cut and write no bundle.")] = False,
    width: Annotated[int, typer.Option(help="Most tensors that may cross a cut.", min=1)] = WIDTH,
    head: Annotated[
        str | None, typer.Option(help="Exit head where the network has none: vision, text, sequence or vector.")
    ] = None,
    profile: Annotated[
        Path | None, typer.Option(help="Choose by time as a device measured it, see docs/partition.md.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw bytes and time along the network, as .png or .svg.")
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(help="For --plot: an image, a folder or an .npz; shows how large the input is as JPEG."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the bundle; else the config's, else the model's.")] = None,
    version: Annotated[str | None, typer.Option(help="Of the bundle; else the config's, else 1.")] = None,
    labels: Annotated[
        str | None, typer.Option(help="Names of the classes: a,b,c or @FILE with one a line; else 0, 1, ...")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML with name, version, labels and preprocess; see configs/network.yaml.")
    ] = None,
    int8: Annotated[
        Path | None,
        typer.Option(metavar="SAMPLES", help="Pieces in 8 bits, too; an .npz, folder or .tsv, labelled or not."),
    ] = None,
    fp16: Annotated[bool, typer.Option("--fp16", help="Pieces in 16 bits, too, for TensorRT.")] = False,
    arg: Args = None,
    input_: Inputs = None,
    axis: Axes = None,
    seed: Seed = 0,
    tolerance: Tolerance = TOLERANCE,
    as_json: AsJson = False,
) -> None:
    """Cut a network, give each cut an exit, prove that the pieces are the whole, and write a bundle."""
    drawing = drawing_of(plot, pictures)
    wish = Wish(cuts, width, head, profiles.load(profile) if profile else None)
    identity = _identity(model, config, name, version, labels)
    network = _network(ctx, model, arg, input_, axis)
    given = input_of(network, identity.preprocess, pictures) if drawing else None
    if show_cuts:
        with _working("finding cuts"):
            plan = build.planned(network, wish)
        _show_cuts(plan, as_json=as_json)
        chosen = plan.network.cuts
    else:
        widths = [name for name, wanted in (("int8", int8 is not None), ("fp16", fp16)) if wanted]
        with _working("cutting") as say:
            root = build.partition(
                network,
                out,
                identity=identity,
                wish=wish,
                trial=Trial(seed=seed, tolerance=tolerance),
                clock=time.time,
                rounding=Rounding(tuple(name for width in widths for name in asked(width)), int8),
                say=say,
            )
        written = bundles.load(root)
        _show_bundle(written, as_json=as_json)
        chosen = tuple(tuple(tensor.name for tensor in cut.tensors) for cut in written.manifest.cuts[1:])
    if drawing is not None and given is not None:
        _draw(drawing, network, wish, chosen, name=identity.name, given=given)
        typer.echo(f"drew {drawing.path}", err=as_json)


def verify(
    ctx: typer.Context,
    bundle_dir: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder with manifest.json.")],
    model: Annotated[str, typer.Option(help="The network that the bundle was made from.")],
    data: Annotated[Path | None, typer.Option(help="Labelled samples to prove on too: .npz, folder or .tsv.")] = None,
    take: Annotated[str, typer.Option(help="Which of them, first:end.")] = ":100",
    arg: Args = None,
    input_: Inputs = None,
    axis: Axes = None,
    seed: Seed = 0,
    tolerance: Tolerance = TOLERANCE,
    as_json: AsJson = False,
) -> None:
    """Prove on this machine that a bundle is its network; on success its certificate is replaced."""
    samples, labels = _samples(bundle_dir, data, take) if data else ([], None)
    network = _network(ctx, model, arg, input_, axis)
    with _working("proving"):
        certificate = build.certify(bundle_dir, network, Trial(seed, samples, tolerance, labels), time.time)
    if as_json:
        print(json.dumps(certificate))
        return
    _show_certificate(_console(), certificate)


def _network(
    ctx: typer.Context, model: str, arg: list[str] | None, inputs: list[str] | None, axis: list[str] | None
) -> Network:
    """The network; a spinner on standard error while it is read.

    What a large torch module leaves outside its graph lies in a folder that goes when the command ends.
    """
    weights = Path(ctx.with_resource(TemporaryDirectory(prefix="offramp-weights-")))
    request = Request(arguments(arg or ()), input_specs(inputs or ()), axis_sizes(axis or ()), weights)
    with _working(f"reading {model}"):
        return read_network(model, request)


@contextmanager
def _working(step: str) -> Iterator[Callable[[str], None]]:
    """What is being done, on standard error while it is; gives the function that says the next step."""
    with Console(stderr=True).status(step) as status:
        yield status.update


def _console() -> Console:
    """The terminal; a pipe or file has room for any table."""
    console = Console()
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(width=ROOM)


def _say(notes: Iterable[str]) -> None:
    for note in notes:
        print(f"offramp: note: {note}", file=sys.stderr)


def _identity(model: str, config: Path | None, name: str | None, version: str | None, labels: str | None) -> Identity:
    """What options say, else the config, else the model."""
    said = load(config, NetworkFile) if config else NetworkFile()
    folder = config.parent if config else Path()
    return Identity(
        name=name or said.name or name_of(model),
        version=version or said.version or "1",
        labels=tuple(_labels(labels)) if labels else said.labels,
        preprocess=said.settled(folder),
        tokeniser=said.tokeniser(folder),
    )


def _samples(bundle_dir: Path, data: Path, take: str) -> tuple[list[Any], Any]:
    samples = samples_of(data, bundles.load_unproven(bundle_dir), take_from_text(take))
    return samples.inputs(slice(None)), samples.labels


def _labels(text: str) -> list[str]:
    """`a,b,c`, or `@file` with one label a line."""
    if not text.startswith("@"):
        return [label.strip() for label in text.split(",")]
    try:
        lines = Path(text[1:]).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--labels {text}: cannot be read ({reason(error)}); expected one name a line") from error
    return [line.strip() for line in lines if line.strip()]


def _show_bundle(written: Bundle, *, as_json: bool) -> None:
    _say(written.certificate["notes"])
    if as_json:
        facts = {
            "bundle": str(written.root),
            "id": written.id,
            "manifest": written.manifest.model_dump(mode="json"),
            "certificate": written.certificate,
        }
        print(json.dumps(facts))
        return
    console = _console()
    console.print(pieces_table(written.manifest, console.width))
    _show_certificate(console, written.certificate)
    console.print(f"wrote {written.root}, id {written.id[:12]}", soft_wrap=True)


def _show_certificate(console: Console, certificate: dict[str, Any]) -> None:
    console.print(certificate_table(certificate))
    for name, entry in certificate.get("precisions", {}).items():
        console.print(precision_table(name, entry))
    console.print(summary(certificate)[-1], soft_wrap=True)


def _show_cuts(plan: Plan, *, as_json: bool) -> None:
    chosen = plan.network.cuts
    _say(plan.network.notes)
    if as_json:
        print(json.dumps({"cuts": [{**asdict(row), "chosen": row.tensors in chosen} for row in plan.rows]}))
        return
    console = _console()
    console.print(cuts_table(plan.rows, chosen, console.width))


def _draw(
    drawing: Drawing, network: Network, wish: Wish, chosen: tuple[tuple[str, ...], ...], *, name: str, given: Input
) -> None:
    with _working("finding cuts") as say:
        rows = list_cuts(network, wish.width)
        say("measuring on the way")
        picture = picture_of(network, rows, chosen, name=name, given=given, profile=wish.profile, clock=OWN_TIME)
        drawing.draw(picture, drawing.path)
