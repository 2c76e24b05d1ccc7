"""`offramp calibrate` and `offramp trace`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from partitioner.calibrate import codecs as codec_choice
from partitioner.calibrate import fit as fitting
from partitioner.calibrate import slices as slicing
from partitioner.calibrate.codecs import CodecTable
from partitioner.calibrate.diagram import KINDS, Diagram, diagram_of
from partitioner.calibrate.fit import Fit, Wishes
from partitioner.calibrate.options import CodecOptions, DecideOptions, GuardOptions, ObjectiveOptions, TargetOptions
from partitioner.calibrate.record import Progress as Done
from partitioner.calibrate.record import chain_from_bundle, raw_reader, record
from partitioner.calibrate.slices import Slice
from partitioner.calibrate.tables import show, trace_table
from partitioner.chain import Chain
from partitioner.data import Samples, samples_of, take_from_text
from split_core import bundle as bundles
from split_core import policy, traces
from split_core.backends import BACKENDS
from split_core.bundle import Bundle
from split_core.drift.histogram import input_histograms
from split_core.errors import ConfigError
from split_core.intake import intake_of
from split_core.option_groups import grouped
from split_core.params import params_from_text
from split_core.policy import CodecSection, PolicyFile
from split_core.readings import Reader
from split_core.registry import resolve, suggestion
from split_core.traces import Traces

AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output on standard output.")]
BundleDir = Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder with manifest.json.")]
Data = Annotated[Path, typer.Option(help="Labelled samples: an .npz, a folder per class, or a .tsv.")]
Take = Annotated[str, typer.Option(help="Which of them, first:end, for example 0:5000; all unless told.")]
Threads = Annotated[int, typer.Option(help="Threads per session; 0 takes all cores.", min=0)]


@grouped
def calibrate(
    bundle_dir: BundleDir,
    data: Data,
    out: Annotated[Path, typer.Option(help="The policy file to write.")],
    deciding: DecideOptions,
    targets: TargetOptions,
    guarding: GuardOptions,
    costs: ObjectiveOptions,
    packing: CodecOptions,
    take: Take = "",
    trace_out: Annotated[Path | None, typer.Option("--trace", help="Write the calibration trace too, as .npz.")] = None,
    slices: Annotated[Path | None, typer.Option(help="CSV, a line per sample taken: accuracy by its columns.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw reliability diagrams: .svg, .png or .html.")] = None,
    threads: Threads = 0,
    seed: Annotated[int, typer.Option(help="Of the split into halves.", min=0)] = 0,
    as_json: AsJson = False,
) -> None:
    """Make a policy file: choose codecs by measurement, fit temperatures and reliability maps, certify thresholds.

    Maps are fitted on one half of the samples, thresholds chosen on the other; what they do is printed from
    a half of that one that took no part.
    """
    draw = _drawing_to(plot)
    bundle = bundles.load(bundle_dir)
    wishes = _wishes(bundle, deciding, targets, guarding, costs)
    raw = raw_reader(bundle.manifest.exits, wishes.build(bundle.manifest.exits))
    samples, chain = _ready(bundle, data, take, threads)
    metadata = _metadata(slices, wishes, len(samples))
    table = _measured(chain, samples.first(packing.codec_samples), silent=as_json)
    codecs = codec_choice.choose(table, packing.route(wishes.objective), max_drop=packing.codec_drop)
    recorded = _recorded(bundle, chain, samples, codecs, raw, silent=as_json)
    result = fitting.fit(recorded, wishes, codecs=codecs, table=table, seed=seed, metadata=metadata)
    result = replace(result, policy=_with_inputs(result.policy, samples))
    if wishes.criterion_arrays:
        wishes.criterion_arrays.place_beside(out)
    if trace_out:
        traces.save(recorded.read_with(result.policy.reader(out.parent)), trace_out)
    policy.save(result.policy, out)
    draw(diagram_of(bundle.manifest.name, result.apart))
    sliced = _sliced(result, metadata)
    if as_json:
        print(json.dumps({**_facts(result, out), "slices": [asdict(one) for one in sliced]}))
    else:
        show(Console(), result, table, sliced, out)


def trace(
    bundle_dir: BundleDir,
    data: Data,
    out: Annotated[Path, typer.Option(help="The .npz to write.")],
    take: Take = "",
    policy_file: Annotated[
        Path | None, typer.Option("--policy", help="Calibrates and names the codecs; else raw confidences.")
    ] = None,
    states: Annotated[
        bool, typer.Option("--hidden", help="Keep pooled hidden states, which some criteria need.")
    ] = False,
    threads: Threads = 0,
    as_json: AsJson = False,
) -> None:
    """Record what every exit says about labelled samples, and what every cut would ship."""
    bundle = bundles.load(bundle_dir)
    exits = bundle.manifest.exits
    codecs, reader = CodecSection.usual(intake_of(bundle.manifest)), raw_reader(exits)
    if policy_file:
        chosen = policy.load(policy_file)
        chosen.check_bound_to(bundle.id, exits, str(policy_file))
        codecs, reader = chosen.codecs, chosen.reader(policy_file.parent)
    samples, chain = _ready(bundle, data, take, threads)
    recorded = _recorded(bundle, chain, samples, codecs, reader, silent=as_json, states=states)
    traces.save(recorded, out)
    if as_json:
        print(json.dumps({"trace": str(out), "samples": recorded.samples, "bundle_id": bundle.id, **_exits(recorded)}))
        return
    console = Console()
    console.print(trace_table(recorded, codecs))
    console.print(f"wrote {out}: {recorded.samples} samples", soft_wrap=True)


def _ready(bundle: Bundle, data: Path, take: str, threads: int) -> tuple[Samples, Chain]:
    samples = samples_of(data, bundle, take_from_text(take))
    backend = BACKENDS.load("onnxruntime")()
    return samples, chain_from_bundle(bundle, backend, threads=threads or os.cpu_count() or 1)


def _drawing_to(path: Path | None) -> Callable[[Diagram], None]:
    """Draws to `path`; looked for before anything is measured, so that what is missing is told at once."""
    if path is None:
        return lambda _: None
    if path.suffix.lower() not in KINDS:
        raise ConfigError(f"--plot {path}: expected a name that ends in {', '.join(KINDS)}")
    draw = resolve("partitioner.calibrate.plot:draw", "--plot", "report")
    return lambda diagram: draw(diagram, path)


def _with_inputs(made: PolicyFile, samples: Samples) -> PolicyFile:
    """The policy that knows what its inputs were like, for drift."""
    if samples.preprocess is None:
        return made
    found = input_histograms(samples.preprocess, samples.preprocess.unstack(samples.items))
    return made.model_copy(update={"evidence": made.evidence.model_copy(update={"input_histograms": found})})


def _wishes(
    bundle: Bundle,
    deciding: DecideOptions,
    targets: TargetOptions,
    guarding: GuardOptions,
    costs: ObjectiveOptions,
) -> Wishes:
    return Wishes(
        deciding.criterion,
        costs.build(),
        deciding.ship,
        deciding.bandit,
        targets.target,
        round(1.0 - targets.confidence, 9),
        criterion_params=params_from_text(deciding.criterion_param or (), "--criterion-param"),
        criterion_arrays=deciding.trained(bundle.id),
        asked=targets.build(bundle.id, guarding.deepest),
        guard=guarding.build(bundle.manifest.labels, bundle.manifest.exits),
        segment=guarding.segment,
    )


def _metadata(path: Path | None, wishes: Wishes, samples: int) -> dict[str, list[str]]:
    if path and not wishes.asked.asks:
        raise ConfigError("--slices shows what a target does; ask for one, for example --risk 0.02")
    found = slicing.read_metadata(path, samples) if path else {}
    if wishes.segment and wishes.segment not in found:
        there = f"{path} has: {', '.join(found)}{suggestion(wishes.segment, found)}" if path else "give --slices FILE"
        raise ConfigError(f"--segment {wishes.segment}: no such column; {there}")
    return found


def _sliced(result: Fit, metadata: dict[str, list[str]]) -> list[Slice]:
    """Of the samples that took no part; none when half of the samples could not carry the target."""
    trial = result.kept.trial if result.kept else None
    return slicing.slices(trial.rule, trial.tested, slicing.of_rows(metadata, trial.rows)) if trial else []


def _measured(chain: Chain, samples: Samples, *, silent: bool) -> CodecTable:
    with _progress("Measuring codecs", len(samples), silent=silent) as done:
        return codec_choice.measure(chain, samples, clock=time.perf_counter, progress=done)


def _recorded(
    bundle: Bundle,
    chain: Chain,
    samples: Samples,
    codecs: CodecSection,
    reader: Reader,
    *,
    silent: bool,
    states: bool = False,
) -> Traces:
    with _progress("Recording", len(samples), silent=silent) as done:
        return record(bundle.id, chain, samples, codecs=codecs, reader=reader, progress=done, states=states)


@contextmanager
def _progress(title: str, total: int, *, silent: bool) -> Iterator[Done]:
    console = Console(stderr=True)
    # A bar that nobody sees would still leave empty lines behind.
    with Progress(console=console, disable=silent or not console.is_terminal, transient=True) as bar:
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
