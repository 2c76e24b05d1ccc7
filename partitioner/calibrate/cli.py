"""`offramp calibrate` and `offramp trace`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from partitioner.calibrate import codecs as codec_choice
from partitioner.calibrate import fit as fitting
from partitioner.calibrate import slices as slicing
from partitioner.calibrate.codecs import CodecTable
from partitioner.calibrate.fit import Fit, Wishes
from partitioner.calibrate.record import Progress as Done
from partitioner.calibrate.record import chain_from_bundle, raw_reader, record
from partitioner.calibrate.slices import Slice
from partitioner.calibrate.targets import Target
from partitioner.chain import Chain
from partitioner.data import Samples, read_samples, take_from_text
from split_core import bundle as bundles
from split_core import config, policy, profiles, traces
from split_core.backends import BACKENDS
from split_core.bundle import Bundle
from split_core.errors import ConfigError
from split_core.objective import Objective
from split_core.policy import CodecSection, Evidence, ObjectiveSection
from split_core.readings import Reader
from split_core.traces import Traces

AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output on standard output.")]
BundleDir = Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder with manifest.json.")]
Data = Annotated[Path, typer.Option(help="Labelled samples: an .npz with images and labels, or a folder per class.")]
Take = Annotated[str, typer.Option(help="Which of them, first:end, for example 0:5000; all unless told.")]
Threads = Annotated[int, typer.Option(help="Threads per session; 0 takes all cores.", min=0)]


def calibrate(
    bundle_dir: BundleDir,
    data: Data,
    out: Annotated[Path, typer.Option(help="The policy file to write.")],
    take: Take = "",
    trace_out: Annotated[Path | None, typer.Option("--trace", help="Write the calibration trace too, as .npz.")] = None,
    criterion: Annotated[str, typer.Option(help="Exit criterion.")] = "max_prob",
    bandit: Annotated[str, typer.Option(help="Who decides at run time: grid, or cascade for what is asked.")] = "",
    ship: Annotated[Literal["any", "hidden"], typer.Option(help="hidden: pixels never leave the device.")] = "any",
    objective: Annotated[Path | None, typer.Option(help="YAML with the weights ms, kb, cloud_ms, joule, mu.")] = None,
    ms: Annotated[float | None, typer.Option(help="Cost of a millisecond.", min=0)] = None,
    kb: Annotated[float | None, typer.Option(help="Cost of a kilobyte sent.", min=0)] = None,
    cloud_ms: Annotated[float | None, typer.Option(help="Cost of a millisecond of cloud.", min=0)] = None,
    mu: Annotated[float | None, typer.Option(help="Confidence that a unit of cost is worth.", min=0)] = None,
    target: Annotated[float, typer.Option(help="Agreement that a certified threshold promises.")] = 0.98,
    accuracy: Annotated[float | None, typer.Option(help="Ask: of what exits answer, this share is right.")] = None,
    max_drop: Annotated[float | None, typer.Option(help="Ask: accuracy lost against the full network.")] = None,
    risk: Annotated[float | None, typer.Option(help="Ask: mean loss of early answers, see --loss.")] = None,
    confidence: Annotated[float, typer.Option(help="Chance that a promise holds.", min=0.01, max=0.999)] = 0.9,
    method: Annotated[str, typer.Option(help="naive, crc, ltt, wsr; for --accuracy pcee, pcee_ws.")] = "",
    loss: Annotated[str, typer.Option(help="Of --risk: consistency, mistakes, drop, brier.")] = "consistency",
    budget_ms: Annotated[float | None, typer.Option(help="Ask: mean ms of the device per frame.")] = None,
    max_offload: Annotated[float | None, typer.Option(help="Ask: share of frames no exit answers.")] = None,
    per_class: Annotated[bool, typer.Option("--per-class", help="Thresholds per predicted class too.")] = False,
    profile: Annotated[Path | None, typer.Option(help="Times of the device, for --budget-ms.")] = None,
    slices: Annotated[Path | None, typer.Option(help="CSV, a line per sample taken: accuracy by its columns.")] = None,
    codec_drop: Annotated[float, typer.Option(help="Accuracy that a codec may cost.", min=0, max=1)] = 0.002,
    slowdown: Annotated[
        float, typer.Option(help="The device packs payloads this many times slower than this machine.", min=1)
    ] = 1.0,
    rate_mbit: Annotated[float, typer.Option("--rate", help="Mbit/s of the uplink to expect.", min=0.001)] = 10.0,
    codec_samples: Annotated[int, typer.Option(help="Samples that codecs are measured on.", min=1)] = 2000,
    threads: Threads = 0,
    seed: Annotated[int, typer.Option(help="Of the split into halves.", min=0)] = 0,
    as_json: AsJson = False,
) -> None:
    """Make a policy file: choose codecs by measurement, fit temperatures and reliability maps, certify thresholds.

    Maps are fitted on one half of the samples, thresholds chosen on the other; what they do is printed from
    a half of that one that took no part.
    """
    bundle = bundles.load(bundle_dir)
    device_ms = _device_ms(profile, bundle.id)
    limits = (budget_ms, max_offload, per_class, device_ms)
    asked = Target(accuracy, max_drop, risk, confidence, method, loss, *limits)
    weights = _objective(objective, ms, kb, cloud_ms, mu)
    wishes = Wishes(criterion, weights, ship, bandit, target, round(1.0 - confidence, 9), asked=asked)
    samples, chain = _ready(bundle, data, take, threads)
    metadata = _metadata(slices, asked, len(samples))
    table = _measured(chain, samples.first(codec_samples), silent=as_json)
    route = codec_choice.Route(wishes.objective, slowdown, rate_mbit)
    codecs = codec_choice.choose(table, route, max_drop=codec_drop)
    recorded = _recorded(bundle, chain, samples, codecs, raw_reader(chain.exits, criterion), silent=as_json)
    result = fitting.fit(recorded, wishes, codecs=codecs, table=table, seed=seed)
    if trace_out:
        traces.save(recorded.read_with(result.policy.reader()), trace_out)
    policy.save(result.policy, out)
    if as_json:
        print(json.dumps({**_facts(result, out), "slices": [asdict(one) for one in _sliced(result, metadata)]}))
    else:
        _show(Console(), result, table, out)
        if metadata:
            Console().print(slices_table(_sliced(result, metadata)))


def trace(
    bundle_dir: BundleDir,
    data: Data,
    out: Annotated[Path, typer.Option(help="The .npz to write.")],
    take: Take = "",
    policy_file: Annotated[
        Path | None, typer.Option("--policy", help="Calibrates and names the codecs; else raw confidences.")
    ] = None,
    threads: Threads = 0,
    as_json: AsJson = False,
) -> None:
    """Record what every exit says about labelled samples, and what every cut would ship."""
    bundle = bundles.load(bundle_dir)
    exits = bundle.manifest.exits
    codecs, reader = CodecSection(), raw_reader(exits)
    if policy_file:
        chosen = policy.load(policy_file)
        chosen.check_bound_to(bundle.id, exits, str(policy_file))
        codecs, reader = chosen.codecs, chosen.reader(policy_file.parent)
    samples, chain = _ready(bundle, data, take, threads)
    recorded = _recorded(bundle, chain, samples, codecs, reader, silent=as_json)
    traces.save(recorded, out)
    if as_json:
        print(json.dumps({"trace": str(out), "samples": recorded.samples, "bundle_id": bundle.id, **_exits(recorded)}))
        return
    console = Console()
    console.print(trace_table(recorded, codecs))
    console.print(f"wrote {out}: {recorded.samples} samples", soft_wrap=True)


def _ready(bundle: Bundle, data: Path, take: str, threads: int) -> tuple[Samples, Chain]:
    samples = read_samples(data, bundle.manifest, take_from_text(take))
    backend = BACKENDS.load("onnxruntime")()
    return samples, chain_from_bundle(bundle, backend, threads=threads or os.cpu_count() or 1)


def _objective(
    path: Path | None, ms: float | None, kb: float | None, cloud_ms: float | None, mu: float | None
) -> Objective:
    """The file's weights, or the defaults, with those given on the command line in their place."""
    base = config.load(path, ObjectiveSection).build() if path else Objective()
    given = {"ms": ms, "kb": kb, "cloud_ms": cloud_ms, "mu": mu}
    return replace(base, **{name: value for name, value in given.items() if value is not None})


def _device_ms(path: Path | None, bundle_id: str) -> tuple[float, ...]:
    """(K,) milliseconds until each exit has been read, the exits before it included; empty without a profile."""
    if path is None:
        return ()
    profile = profiles.load(path)
    profile.check_bound_to(bundle_id, str(path))
    return tuple((profile.device_ms() + np.cumsum(profile.head_ms()))[1:].tolist())


def _metadata(path: Path | None, asked: Target, samples: int) -> dict[str, list[str]]:
    if path is None:
        return {}
    if not asked.asks:
        raise ConfigError("--slices shows what a target does; ask for one, for example --risk 0.02")
    return slicing.read_metadata(path, samples)


def _sliced(result: Fit, metadata: dict[str, list[str]]) -> list[Slice]:
    """Of the samples that took no part; none when half of the samples could not carry the target."""
    trial = result.kept.trial if result.kept else None
    return slicing.slices(trial.rule, trial.tested, slicing.of_rows(metadata, trial.rows)) if trial else []


def _measured(chain: Chain, samples: Samples, *, silent: bool) -> CodecTable:
    with _progress("Measuring codecs", len(samples), silent=silent) as done:
        return codec_choice.measure(chain, samples, clock=time.perf_counter, progress=done)


def _recorded(
    bundle: Bundle, chain: Chain, samples: Samples, codecs: CodecSection, reader: Reader, *, silent: bool
) -> Traces:
    with _progress("Recording", len(samples), silent=silent) as done:
        return record(bundle.id, chain, samples, codecs=codecs, reader=reader, progress=done)


@contextmanager
def _progress(title: str, total: int, *, silent: bool) -> Iterator[Done]:
    with Progress(console=Console(stderr=True), disable=silent, transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda count: bar.advance(task, count)


def _exits(recorded: Traces) -> dict[str, Any]:
    return {
        "accuracy": recorded.correct.mean(axis=0).round(6).tolist(),
        "agreement": recorded.agrees.mean(axis=0).round(6).tolist(),
        "payload_bytes": recorded.payload_bytes.mean(axis=0).round(1).tolist(),
    }


def _facts(result: Fit, out: Path) -> dict[str, Any]:
    made = result.policy
    held_out = [asdict(one) for one in result.held_out]
    return {"policy": str(out), "id": made.id, "file": made.model_dump(mode="json"), "held_out": held_out}


def _show(console: Console, result: Fit, table: CodecTable, out: Path) -> None:
    console.print(exits_table(result))
    console.print(codecs_table(table, result.policy.codecs))
    made = result.policy
    console.print(
        f"Maps: fitted on one half of {made.evidence.samples} samples; ECE (calibration error): on the other.\n"
        f"agrees, answers: thresholds from a half of that other half, on the rest, every sample at every exit.\n"
        f"certified: from this confidence on an exit agrees with the full network at least "
        f"{made.evidence.target:.1%} of the time; false with probability {made.evidence.risk:g} per exit, on such data."
    )
    if made.evidence.promises:
        console.print(promises_table(made.evidence))
    thresholds = made.bandit.params.get("thresholds") or made.bandit.params.get("per_exit")
    console.print(f"bandit {made.bandit.name}, thresholds {thresholds or 'its own'}")
    console.print(f"wrote {out}, id {made.id[:12]}", soft_wrap=True)


def exits_table(result: Fit) -> Table:
    """Per exit: accuracy, calibration, and what its certified threshold is worth on held-out samples."""
    table = Table("exit", title="exits", box=SIMPLE_HEAD, pad_edge=False)
    for title in ("right", "temp.", "map", "raw ECE", "ECE", "certified", "agrees", "answers"):
        table.add_column(title, justify="right")
    for k, (section, held_out) in enumerate(zip(result.policy.exits, result.held_out, strict=True), 1):
        table.add_row(
            str(k),
            f"{section.accuracy:.2%}",
            f"{section.temperature:.3f}",
            f"{len(section.scores)} knots" if section.scores else "none",
            f"{held_out.ece_before:.4f}",
            f"{held_out.ece_after:.4f}",
            "never" if section.certified is None else f"{section.certified:.3f}",
            "" if held_out.agreement is None else f"{held_out.agreement:.1%}",
            f"{held_out.answered:.1%}",
        )
    return table


def promises_table(evidence: Evidence) -> Table:
    """What was asked against what was reached on samples that neither maps nor thresholds have seen."""
    table = Table("asked", title="asked and reached", box=SIMPLE_HEAD, pad_edge=False)
    for title in ("for", "by", "promised", "reached", "on", "chosen on"):
        table.add_column(title, justify="right")
    for one in evidence.promises:
        table.add_row(
            one.kind.replace("_", " ") + (f" ({one.loss})" if one.loss else ""),
            f"{one.asked:g}",
            one.method,
            "no bound" if one.confidence is None else f"at {one.confidence:.0%}",
            "too few to test" if one.reached is None else f"{one.reached:.4g}",
            str(one.held_out),
            str(one.samples),
        )
    return table


def slices_table(found: list[Slice]) -> Table:
    """Accuracy and exit share by slice, the worst first."""
    table = Table("slice", title="by slice, held out, worst first", box=SIMPLE_HEAD, pad_edge=False)
    for title in ("samples", "right", "full network", "early"):
        table.add_column(title, justify="right")
    for one in found:
        shares = (f"{share:.1%}" for share in (one.accuracy, one.full_accuracy, one.early))
        table.add_row(f"{one.column} = {one.value}", str(one.samples), *shares)
    return table


def codecs_table(table: CodecTable, chosen: CodecSection) -> Table:
    """Every codec: time to pack, what it costs in accuracy, bytes at every cut; the chosen ones are marked."""
    about = f"codecs: bytes per sample by cut, on {table.samples} samples"
    shown = Table("codec", title=about, box=SIMPLE_HEAD, pad_edge=False)
    cuts = sorted({row.cut for row in table.rows})
    for title in ("ms", "accuracy", *(f"cut {cut}" for cut in cuts)):
        shown.add_column(title, justify="right")
    for name in dict.fromkeys(row.codec for row in table.rows):
        rows = {row.cut: row for row in table.rows if row.codec == name}
        cells = (f"{rows[cut].mean_bytes:.0f}" if cut in rows else "" for cut in cuts)
        mark = " *" if name in (chosen.hidden, chosen.input) else ""
        slowest, worst = max(row.encode_ms for row in rows.values()), min(row.accuracy for row in rows.values())
        shown.add_row(name + mark, f"{slowest:.2f}", f"{100 * (worst - table.accuracy):+.2f}", *cells)
    return shown


def trace_table(recorded: Traces, codecs: CodecSection) -> Table:
    """Per exit: accuracy, agreement, mean confidence, and the bytes that the cut before it ships."""
    table = Table("exit", title=f"codecs {codecs.input} and {codecs.hidden}", box=SIMPLE_HEAD, pad_edge=False)
    for title in ("accuracy", "agrees", "confidence", "bytes of the cut before"):
        table.add_column(title, justify="right")
    for k in range(recorded.exits):
        table.add_row(
            str(k + 1),
            f"{recorded.correct[:, k].mean():.2%}",
            f"{recorded.agrees[:, k].mean():.2%}",
            f"{recorded.confidence[:, k].mean():.4f}",
            f"{np.mean(recorded.payload_bytes[:, k]):.0f}",
        )
    return table
