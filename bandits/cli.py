"""`offramp replay`: policies over a trace, the trivial ones beside, and live runs beside their replay."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from bandits import path_model
from bandits.compare import BEST_FIXED, Comparison, compare, standard_policies, trivial_policies
from bandits.measured import LiveRuns, live_rows, measured_model
from bandits.of_file import FilePolicy
from bandits.path_model import PathModel
from bandits.regret import best_fixed_arm
from bandits.runs import Run
from split_core import policy as policies
from split_core import profiles, traces
from split_core.errors import ConfigError, TraceError
from split_core.policy import PolicyFile
from split_core.telemetry.decisions import FrameRecord, read_header, read_log
from split_core.traces import Traces

AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output on standard output.")]
POINTS = 200  # of a curve: more cannot be seen


def replay_command(
    trace: Annotated[Path, typer.Argument(help="An .npz of 'offramp trace'.")],
    policy_file: Annotated[
        Path | None, typer.Option("--policy", help="Gives objective, what may be shipped, and its bandit.")
    ] = None,
    profile_file: Annotated[Path | None, typer.Option("--profile", help="The device's; with --log.")] = None,
    logs: Annotated[
        list[str] | None, typer.Option("--log", help="NAME=FILE: a decision log of policy NAME over these frames.")
    ] = None,
    costs: Annotated[Path | None, typer.Option(help="Costs as JSON, instead of fitting them to logs.")] = None,
    published: Annotated[str, typer.Option(help="The papers' constant costs instead: lambda=0.1,offload=0.3")] = "",
    chosen: Annotated[str, typer.Option("--policies", help="Only these, a,b,c; the trivial ones always.")] = "",
    metadata: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE that is true of the frames; for the policy file's segments.")
    ] = None,
    deadline_ms: Annotated[float, typer.Option(help="Later answers are degraded; 0 for none.", min=0)] = 0.0,
    seeds: Annotated[int, typer.Option(help="Shuffles of the trace to average over.", min=1)] = 3,
    save_costs: Annotated[Path | None, typer.Option(help="Write the fitted costs there, as JSON.")] = None,
    as_json: AsJson = False,
) -> None:
    """Play policies over a recorded trace with measured or published costs, the trivial policies beside.

    With decision logs of live runs, costs are fitted to them, and every live run is printed beside the replay
    of its policy over the same frames, so that you see how far to believe the rest.
    """
    recorded = traces.load(trace)
    policy = policies.load(policy_file) if policy_file else None
    own = _own(policy_file, policy, metadata or ())
    runs = LiveRuns(_runs(logs or [], recorded.bundle_id), own)
    model = _model(recorded, policy, profile_file, runs, costs, published, deadline_ms or None)
    if save_costs:
        path_model.save(model, save_costs)
    console = Console(stderr=True)
    with console.status("replaying"):
        rows = live_rows(runs, recorded, model, seed=0)
        comparison = compare(recorded, model, _policies(chosen, model, own), range(seeds))
    if as_json:
        print(json.dumps(answer(rows, comparison, recorded, model)))
        return
    Console(soft_wrap=True).print(table([*rows, *comparison.rows], model))


def _runs(logs: Sequence[str], bundle_id: str) -> dict[str, list[FrameRecord]]:
    records = {}
    for item in logs:
        name, equals, path = item.partition("=")
        if not equals:
            raise ConfigError(f"--log {item!r}: expected NAME=FILE, for example grid=decisions.jsonl")
        met = read_header(Path(path)).get("bundle", bundle_id)
        if bundle_id and met != bundle_id:
            raise TraceError(
                f"{path}: a log of bundle {met[:12]}, the trace is of {bundle_id[:12]}; record a trace of it"
            )
        records[name] = list(read_log(Path(path)))
    return records


def _own(path: Path | None, policy: PolicyFile | None, metadata: Sequence[str]) -> dict[str, FilePolicy]:
    """The policy file's bandit, as a camera would play it: within its guard, with the thresholds of its stream."""
    known = dict(item.split("=", 1) for item in metadata if "=" in item[1:])
    if len(known) != len(metadata):
        raise ConfigError(f"--metadata {' '.join(metadata)}: expected KEY=VALUE, each key once, for example site=north")
    return {policy.bandit.name: FilePolicy(policy, known, folder=path.parent)} if policy and path else {}


def _model(
    recorded: Traces,
    policy: PolicyFile | None,
    profile_file: Path | None,
    runs: LiveRuns,
    costs: Path | None,
    published: str,
    deadline_ms: float | None,
) -> PathModel:
    """Costs from exactly one of: a file, the papers, live runs."""
    if costs:
        return path_model.load(costs)
    if published:
        return _published(published, recorded.exits)
    if not (policy and profile_file and runs.records):
        raise ConfigError(
            "nothing says what things cost: give --costs FILE, --published lambda=0.1,offload=0.3, "
            "or --policy, --profile and at least one --log"
        )
    return measured_model(runs, policy, profiles.load(profile_file), deadline_ms=deadline_ms, seed=0)


def _published(text: str, exits: int) -> PathModel:
    try:
        values = {key.strip(): float(value) for key, value in (item.split("=") for item in text.split(","))}
        per_layer, offload = values.pop("lambda"), values.pop("offload")
        head, mu = values.pop("head", 0.0), values.pop("mu", 1.0)
    except (ValueError, KeyError) as error:
        raise ConfigError(f"--published {text!r}: expected lambda=0.1,offload=0.3 and maybe head=, mu=") from error
    if values:
        raise ConfigError(f"--published: {next(iter(values))!r} is none of lambda, offload, head, mu")
    for name, value in {"lambda": per_layer, "offload": offload, "head": head, "mu": mu}.items():
        if not 0.0 <= value < math.inf:
            raise ConfigError(f"--published: {name} must be a finite number of at least 0, got {value:g}")
    return PathModel.published(exits, per_layer=per_layer, offload=offload, head=head, mu=mu)


def _policies(
    chosen: str, model: PathModel, own: Mapping[str, FilePolicy]
) -> dict[str, Mapping[str, Any] | FilePolicy]:
    known = standard_policies(model)
    names = [*trivial_policies(model), *(name.strip() for name in chosen.split(","))] if chosen else [*known, *own]
    return {name: own.get(name) or known.get(name, {}) for name in names}


def answer(rows: list[dict[str, Any]], comparison: Comparison, recorded: Traces, model: PathModel) -> dict[str, Any]:
    """What `--json` prints: rows, curves for the plots, and the costs behind them."""
    arm, reward = best_fixed_arm(recorded, model)
    shown = "grid" if "grid" in comparison.runs else next(iter(comparison.runs))
    return {
        "rows": [*rows, *comparison.rows],
        "regret": {name: _curve(curve) for name, curve in comparison.regret.items() if name != BEST_FIXED},
        "oracle_regret": {name: _curve(curve) for name, curve in comparison.oracle_regret.items()},
        "exits": {"policy": shown, **_shares(comparison.runs[shown])},
        "best_fixed": {"split": arm.split, "threshold": arm.threshold, "mean_reward": reward},
        "cost_model": model.model_dump(mode="json", exclude={"link_residual_ms"}),
    }


def _curve(curve: np.ndarray) -> dict[str, list[float]]:
    index = np.unique(np.linspace(0, len(curve) - 1, POINTS).astype(int))
    return {"frame": (index + 1).tolist(), "regret": curve[index].round(4).tolist()}


def _shares(run: Run, windows: int = 50) -> dict[str, list[Any]]:
    """Share of every exit on the device, then of offloads, in consecutive windows."""
    parts = np.array_split(np.arange(len(run.cost)), min(windows, len(run.cost)))
    shares = [
        [
            *(float(((run.exit == k) & ~run.cloud)[part].mean()) for k in range(1, run.exits + 1)),
            float(run.cloud[part].mean()),
        ]
        for part in parts
    ]
    return {"frame": [int(part[-1]) + 1 for part in parts], "share": shares}


def table(rows: Sequence[dict[str, Any]], model: PathModel) -> Table:
    """Rows as people read them; live rows are followed by their replay."""
    shown = Table(title=f"ship: {model.ship}; regret against the best fixed arm in hindsight")
    for column in ("policy", "frames", "accuracy", "agrees", "ms p50", "ms p95", "KB", "shipped", "cost", "regret"):
        shown.add_column(column, justify="left" if column == "policy" else "right", no_wrap=True)
    for row in rows:
        kind = " (live)" if row["live"] else ""
        shown.add_row(row["name"] + kind, *_cells(row))
        if row.get("replayed"):
            shown.add_row("  its replay", *_cells(row["replayed"]))
    return shown


def _cells(row: dict[str, Any]) -> list[str]:
    accuracy = "-" if row["accuracy"] is None else f"{row['accuracy']:.2%}"
    latency = row["latency_ms"]
    return [
        f"{row['frames']:.0f}",
        accuracy,
        f"{row['agreement']:.2%}",
        f"{latency['p50']:.1f}",
        f"{latency['p95']:.1f}",
        f"{row['kb_per_frame']:.2f}",
        f"{row['offload_share']:.1%}",
        f"{row['mean_cost']:.2f}",
        f"{row['regret']:.1f}",
    ]
