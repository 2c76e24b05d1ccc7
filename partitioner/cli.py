"""`offramp partition` and `offramp verify`."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from partitioner import build
from partitioner.cuts import CutRow, list_cuts
from partitioner.data import read_samples, take_from_text
from partitioner.network import Network
from partitioner.preprocess import settled
from partitioner.verify import TOLERANCE, summary
from split_core import bundle as bundles
from split_core.bundle import Bundle, Manifest
from split_core.config import load
from split_core.errors import ConfigError

AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output on standard output.")]
Seed = Annotated[int, typer.Option(help="Of the random inputs that the proof uses.", min=0)]
Tolerance = Annotated[
    float, typer.Option(help="Greatest difference as deployed, as a share of the greatest logit.", min=0.0)
]


def partition(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The network: an .onnx file.")],
    out: Annotated[Path, typer.Option(help="Folder of bundles: the bundle is OUT/NAME/VERSION/.")] = Path("bundles"),
    name: Annotated[str | None, typer.Option(help="Of the bundle; else the config's, else the file's.")] = None,
    version: Annotated[str | None, typer.Option(help="Of the bundle; else the config's, else 1.")] = None,
    labels: Annotated[
        str | None, typer.Option(help="Names of the classes: a,b,c or @FILE with one a line; else 0, 1, ...")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML with name, version, labels and preprocess; see configs/demo/network.yaml.")
    ] = None,
    show_cuts: Annotated[bool, typer.Option("--list-cuts", help="Print every valid cut and write nothing.")] = False,
    seed: Seed = 0,
    tolerance: Tolerance = TOLERANCE,
    as_json: AsJson = False,
) -> None:
    """Cut a network at its hidden_<k> outputs, prove that the pieces are the whole, and write a bundle."""
    if show_cuts:
        _show_cuts(build.read_network(model), as_json=as_json)
        return
    said = load(config, build.NetworkFile) if config else build.NetworkFile()
    root = build.partition(
        model,
        out,
        name=name or said.name,
        version=version or said.version or "1",
        labels=_labels(labels) if labels else said.labels,
        preprocess=settled(said.preprocess, config.parent if config else Path()),
        seed=seed,
        clock=time.time,
        tolerance=tolerance,
    )
    written = bundles.load(root)
    if as_json:
        print(json.dumps(_facts(written)))
        return
    console = Console()
    console.print(pieces_table(written.manifest))
    _show_certificate(console, written.certificate)
    console.print(f"wrote {root}, id {written.id[:12]}", soft_wrap=True)


def verify(
    bundle_dir: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder with manifest.json.")],
    model: Annotated[Path, typer.Option(help="The network that the bundle was made from.")],
    data: Annotated[Path | None, typer.Option(help="Labelled samples to prove on too: an .npz or a folder.")] = None,
    take: Annotated[str, typer.Option(help="Which of them, first:end.")] = ":100",
    seed: Seed = 0,
    tolerance: Tolerance = TOLERANCE,
    as_json: AsJson = False,
) -> None:
    """Prove on this machine that a bundle is its network; on success its certificate is replaced."""
    samples = _inputs(bundle_dir, data, take) if data else []
    certificate = build.certify(bundle_dir, model, seed=seed, clock=time.time, samples=samples, tolerance=tolerance)
    if as_json:
        print(json.dumps(certificate))
        return
    _show_certificate(Console(), certificate)


def _inputs(bundle_dir: Path, data: Path, take: str) -> list[Any]:
    samples = read_samples(data, bundles.load_unproven(bundle_dir).manifest, take_from_text(take))
    return samples.inputs(slice(None))


def _labels(text: str) -> list[str]:
    """`a,b,c`, or `@file` with one label a line."""
    if not text.startswith("@"):
        return [label.strip() for label in text.split(",")]
    try:
        lines = Path(text[1:]).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--labels {text}: cannot be read ({error})") from error
    return [line.strip() for line in lines if line.strip()]


def _facts(written: Bundle) -> dict[str, Any]:
    return {
        "bundle": str(written.root),
        "id": written.id,
        "manifest": written.manifest.model_dump(mode="json"),
        "certificate": written.certificate,
    }


def _show_cuts(network: Network, *, as_json: bool) -> None:
    rows = list_cuts(network)
    if as_json:
        named = [set(tensors) for tensors in network.cuts]
        print(json.dumps({"cuts": [{**asdict(row), "named": set(row.tensors) in named} for row in rows]}))
        return
    Console().print(cuts_table(rows, network.cuts))


def cuts_table(rows: list[CutRow], named: tuple[tuple[str, ...], ...]) -> Table:
    """Every valid cut, with the share of weights and nodes before it; cuts that the network names carry numbers."""
    table = Table("cut", "tensors", title=f"{len(rows)} cuts", box=SIMPLE_HEAD, pad_edge=False)
    for title in ("raw KB", "8-bit KB", "weights", "nodes"):
        table.add_column(title, justify="right")
    numbers = {frozenset(tensors): str(k) for k, tensors in enumerate(named, 1)}
    for row in rows:
        table.add_row(
            numbers.get(frozenset(row.tensors), ""),
            " + ".join(row.tensors),
            _kilobytes(row.row_bytes),
            _kilobytes(row.u8_bytes),
            f"{row.weights_before:.0%}",
            f"{row.nodes_before:.0%}",
        )
    return table


def pieces_table(manifest: Manifest) -> Table:
    """Segments with their sizes, and what crosses behind them."""
    title = f"{manifest.name} {manifest.version}"
    table = Table("segment", "crosses after", title=title, box=SIMPLE_HEAD, pad_edge=False)
    for column in ("shape", "raw KB", "8-bit KB", "segment KB", "head KB"):
        table.add_column(column, justify="right")
    for k, segment in enumerate(manifest.segments, 1):
        tensors = [tensor.spec for tensor in manifest.cuts[k].tensors] if k < manifest.exits else []
        table.add_row(
            str(k),
            " + ".join(spec.name for spec in tensors) or "the answer",
            " + ".join("x".join(map(str, spec.row_shape)) for spec in tensors),
            _kilobytes(sum(spec.row_bytes(manifest.axes_at()) for spec in tensors) or None),
            _kilobytes(sum(math.prod(spec.sized(manifest.axes_at())) for spec in tensors) or None),
            _kilobytes(segment.bytes),
            _kilobytes(manifest.heads[k - 1].bytes if k < manifest.exits else None),
        )
    return table


def _show_certificate(console: Console, certificate: dict[str, Any]) -> None:
    table = Table("exit", "pieces = whole", "up to level", title="certificate", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("difference as deployed", justify="right")
    table.add_column("labels agree", justify="right")
    for entry in certificate["exits"]:
        difference = entry["deployed_max_difference"]
        table.add_row(
            str(entry["exit"]),
            "bit-equal" if entry["bit_equal_off"] else "NOT equal",
            entry["highest_exact_level"] or "none",
            "unbounded" if difference is None else f"{difference:.1e}",
            f"{entry['deployed_label_agreement']:.2%}",
        )
    console.print(table)
    console.print(summary(certificate)[-1])


def _kilobytes(count: int | None) -> str:
    return "" if count is None else f"{count / 1000:.1f}"
