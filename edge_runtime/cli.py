"""`offramp edge run`, `edge verify-log`, `offramp profile`, `offramp doctor`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from edge_runtime import doctor as doctors
from edge_runtime import profiling
from edge_runtime.app import EdgeApp
from edge_runtime.config import EdgeConfig
from edge_runtime.snapshot.app import take
from edge_runtime.snapshot.file import FORMATS, as_png
from edge_runtime.snapshot.words import in_lines
from edge_runtime.sources.choose import items
from split_core import bundle as bundles
from split_core import config, policy, profiles
from split_core.backends.build import make_backend
from split_core.errors import ArtefactError, ConfigError
from split_core.files import write_atomically
from split_core.params import params_from_text
from split_core.policy import CodecSection
from split_core.profiles import HwProfile
from split_core.telemetry.chain import logs_among
from split_core.telemetry.log_summary import summarised
from split_core.telemetry.logs import log_to_stderr

AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output on standard output.")]


def edge_run(
    config_file: Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML of the camera; see configs/edge.yaml.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Replace a setting: --set link.address=tcp://gpu:5555")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a camera: answer every frame by its deadline, on the device or through the worker."""
    log_to_stderr(as_json=as_json)
    read = partial(config.load, config_file, EdgeConfig, overrides or ())
    app = EdgeApp(read())
    app.handle_signals(read)
    try:
        app.run()
    finally:
        summary = app.summary()
        Console(stderr=True).print(told(summary), highlight=False)
        if as_json:
            print(json.dumps(summary))


def edge_snapshot(
    config_file: Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML of the camera; see configs/edge.yaml.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Replace a setting: --set link.address=tcp://gpu:5555")
    ] = None,
    camera: Annotated[str, typer.Option(help="Which one, where there are several; else the first.")] = "",
    item: Annotated[
        Path | None, typer.Option(help="Take the frame from here: a picture, a folder, .npz, .tsv.")
    ] = None,
    out: Annotated[str, typer.Option(help="Draw it, too: a .png or .html, or - for a PNG on standard output.")] = "",
    as_json: AsJson = False,
) -> None:
    """Answer one frame as the camera would now, and show what every exit says and why it ended where it did."""
    log_to_stderr(as_json=as_json)
    if out not in ("", "-") and Path(out).suffix not in FORMATS:
        raise ConfigError(f"--out: expected a name that ends with {' or '.join(FORMATS)}, or -; got {out!r}")
    if out == "-" and as_json:
        raise ConfigError("--out - and --json would both write to standard output; give --out a file")
    snapshot, frame = take(config.load(config_file, EdgeConfig, overrides or ()), camera=camera, item=item)
    if as_json:
        print(json.dumps(snapshot.as_json()))
    else:
        Console(stderr=out == "-").print("\n".join(in_lines(snapshot)), highlight=False, markup=False, soft_wrap=True)
    if out == "-":
        sys.stdout.buffer.write(as_png(snapshot, frame))
    elif out:
        write_atomically(Path(out), FORMATS[Path(out).suffix](snapshot, frame))
        Console(stderr=True).print(f"wrote {out}", highlight=False, markup=False)


def told(summary: dict[str, Any]) -> str:
    """A run in two lines."""
    latency, outcomes_lost = summary["latency_ms"], summary.get("outcomes_lost", {})
    degraded = ", ".join(f"{count} {reason}" for reason, count in summary["degraded"].items()) or "none"
    drops = ", ".join(f"{count} {why}" for why, count in summary["drops"].items())
    marked = ", ".join(f"{count} {why}" for why, count in summary["marked"].items())
    lost = ", ".join(f"{n} {why} ({sink})" for sink, reasons in outcomes_lost.items() for why, n in reasons.items())
    return (
        f"{summary['frames']} frames, {summary['dropped']} dropped{f' ({drops})' if drops else ''}, "
        f"{summary['outcomes']} answered: "
        f"{summary['edge']} here, {summary['cloud']} by the cloud; degraded: {degraded}; "
        f"{f'to be looked at: {marked}; ' if marked else ''}past the deadline: {summary['late']}"
        f"{f'; outcomes lost on their way: {lost}' if lost else ''}\n"
        f"latency p50 {latency['p50']} ms, p95 {latency['p95']} ms, p99 {latency['p99']} ms"
    )


def verify_log(
    logs: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="As in `decisions`; rotated files beside it are found.")
    ],
    head: Annotated[str, typer.Option(help="Digest that was the log's head before; is it still there?")] = "",
    as_json: AsJson = False,
) -> int:
    """Read decision logs through all rotated files: is every line there, and as it was written?

    Exit code 0 when all are whole; 3 when a line was changed or removed, and it says which.  What rotation has taken
    away, and what the disk had no room for, is said and is no error.
    """
    found, whole = [], True
    for log in logs_among(logs):
        try:
            summary = summarised(log, head)
        except ArtefactError as error:
            whole = False
            where = {"file": str(getattr(error, "path", log)), "line": getattr(error, "line", None)}
            found.append({"whole": False, "log": str(log), **where, "reason": str(error)})
            print(f"offramp edge verify-log: {error}", file=sys.stderr)
            continue
        found.append(summary.as_json())
        if not as_json:
            print(summary.told())
    if as_json:
        print(json.dumps(found))
    return 0 if whole else ArtefactError.exit_code


def profile(
    bundle_dir: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder with manifest.json.")],
    data: Annotated[Path, typer.Option(help="Real frames: an .npz of images, a folder, a video, or a .tsv.")],
    out: Annotated[Path, typer.Option(help="YAML to write, for example hw_profiles/door-camera.yaml.")],
    policy_file: Annotated[Path | None, typer.Option("--policy", help="Takes the codecs from it.")] = None,
    frames: Annotated[int, typer.Option(help="How many frames to measure with.", min=20)] = 200,
    backend: Annotated[str, typer.Option(help="Inference engine.")] = "onnxruntime",
    backend_options: Annotated[
        list[str] | None, typer.Option("--backend-option", help="Of the engine: --backend-option precision=fp16")
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads per session.", min=1)] = 1,
    precision: Annotated[str, typer.Option(help="Of the bundle's pieces: int8, ...; else as exported.")] = "",
    slowdown: Annotated[
        float, typer.Option(help="Stand for a device this many times slower; the edge then waits to match.", min=1.0)
    ] = 1.0,
    whole_ms: Annotated[
        float, typer.Option(help="Instead of --slowdown: as slow as to take this long for the whole network.", min=0.0)
    ] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Measure what a bundle costs on this device: time of every segment and exit, bytes of every payload."""
    log_to_stderr(as_json=as_json)
    console = Console(stderr=as_json)
    bundle = bundles.load(bundle_dir)
    codecs = policy.load(policy_file).codecs if policy_file else CodecSection.usual(bundle.intake())
    found = items(data, frames)
    with Progress(console=console, disable=as_json) as bar:
        task = bar.add_task("Measuring", total=len(found) + profiling.WARM_UP)
        measured = profiling.profile(
            bundle,
            make_backend(backend, params_from_text(backend_options or (), "--backend-option")),
            found,
            name=out.stem,
            codecs=codecs,
            threads=threads,
            precision=precision,
            slowdown=slowdown,
            progress=lambda done: bar.update(task, completed=done),
        )
    if whole_ms:
        measured = measured.model_copy(update={"slowdown": max(1.0, whole_ms / measured.device_ms()[-1])})
    profiles.save(measured, out)
    if as_json:
        print(measured.model_dump_json())
    else:
        console.print(profile_table(measured))
        console.print(f"wrote {out}")


def profile_table(measured: HwProfile) -> Table:
    """A profile as people read it: cumulative times next to what a split there would ship."""
    slow = f", times x{measured.slowdown:g}" if measured.slowdown > 1.0 else ""
    table = Table(title=f"{measured.name}: {measured.device.processor or measured.device.machine}{slow}")
    for column in ("split", "segment ms", "until here ms", "exit ms", "codec", "encode ms", "payload bytes (p95)"):
        table.add_column(column, justify="left" if column in ("split", "codec") else "right")
    device, heads, encode = measured.device_ms(), measured.head_ms(), measured.encode_ms()
    for k in range(measured.exits + 1):
        payload = measured.payloads[k] if k < measured.exits else None
        table.add_row(
            "0 (input)" if k == 0 else str(k),
            "" if k == 0 else f"{device[k] - device[k - 1]:.3f}",
            f"{device[k]:.3f}",
            "" if k == 0 else f"{heads[k]:.3f}",
            payload.codec if payload else "-",
            f"{encode[k]:.3f}" if payload else "-",
            f"{payload.bytes_p50} ({payload.bytes_p95})" if payload else "-",
        )
    return table


def doctor(as_json: AsJson = False) -> None:
    """Look whether this machine is fit to run, and say what to do."""
    findings = doctors.examine()
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings]))
    else:
        table = Table(title="offramp doctor")
        for column in ("check", "state", "found", "what to do"):
            table.add_column(column)
        colours = {"ok": "green", "warn": "yellow", "fail": "red"}
        for finding in findings:
            state = f"[{colours[finding.state]}]{finding.state}[/]"
            table.add_row(finding.check, state, finding.found, finding.advice)
        Console().print(table)
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(4)
