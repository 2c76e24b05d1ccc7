"""`offramp replay`: policies over a stream, the trivial ones beside, and live runs beside their replay."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bandits import path_model
from bandits.answers import answer
from bandits.compare import Setting, compare_streams, standard_policies, trivial_policies
from bandits.estimates import estimates_of
from bandits.measured import LiveRuns, live_rows
from bandits.of_file import FilePolicy
from bandits.parallel import workers_for
from bandits.path_model import PathModel
from bandits.pricing import cost_models, measured
from bandits.replay_inputs import error_costs_of, policy_of_file, recorded_in, records_in
from bandits.report.comparison_page import most_played, page
from bandits.scenarios.build import parsed
from split_core import policy as policies
from split_core.errors import ConfigError
from split_core.files import write_atomically
from split_core.policy import PolicyFile
from split_core.registry import resolve
from split_core.telemetry.decisions import read_log
from split_core.traces import Traces

AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output on standard output.")]
CURVE_POINTS = 1000
NEEDED = 104  # characters
Answers = dict[str, dict[str, Any]]


def replay_command(
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(
            help="An .npz of 'offramp trace', or a decision log (its frames that were read whole); "
            "a second one is what 'shift' shifts to."
        ),
    ] = None,
    policy_file: Annotated[
        Path | None, typer.Option("--policy", help="Gives objective, what may be shipped, and its bandit.")
    ] = None,
    profile_file: Annotated[Path | None, typer.Option("--profile", help="The device's; with --log.")] = None,
    logs: Annotated[
        list[str] | None, typer.Option("--log", help="NAME=FILE: a decision log of policy NAME over these frames.")
    ] = None,
    costs: Annotated[Path | None, typer.Option(help="Costs as JSON, instead of fitting them to logs.")] = None,
    published: Annotated[str, typer.Option(help="The papers' constant costs: lambda=0.1,offload=0.3")] = "",
    chosen: Annotated[str, typer.Option("--policies", help="Only these, a,b,c; the trivial ones always.")] = "",
    metadata: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE that is true of the frames; for the policy file's segments.")
    ] = None,
    scenario: Annotated[
        str,
        typer.Option(
            help="What changes on the way: stationary, shift, bandwidth_steps, price_steps, outage; "
            "'outage:windows=3;share=0.2' sets its parameters."
        ),
    ] = "stationary",
    frames: Annotated[int, typer.Option(help="Length of the stream; 0 for that of the trace.", min=0)] = 0,
    error_cost: Annotated[
        str, typer.Option(help="Of a wrong answer in the loss: a number, or [a, b, ..] by class.")
    ] = "1",
    deadline_ms: Annotated[float, typer.Option(help="Later answers are degraded; 0 for none.", min=0)] = 0.0,
    seeds: Annotated[int, typer.Option(help="Shuffles of the trace to average over.", min=1)] = 3,
    workers: Annotated[int, typer.Option(help="Processes; 0 for as many as pay.", min=0)] = 0,
    save_costs: Annotated[Path | None, typer.Option(help="Write the fitted costs there, as JSON.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw regret and loss to this .png or .svg.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write one page there that opens offline.")] = None,
    off_policy: Annotated[
        Path | None, typer.Option(help="Estimate every arm from this decision log alone: IPS, SNIPS, DR.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Play policies over recorded frames with measured and with published costs, the trivial policies beside.

    With decision logs of live runs, costs are fitted to them, and every live run is printed beside the replay
    of its policy over the same frames, so that you see how far to believe the rest.
    """
    policy = policies.load(policy_file) if policy_file else None
    if off_policy:
        _print_estimates(off_policy, policy, as_json=as_json)
        return
    recorded = [recorded_in(path) for path in inputs or ()]
    if not recorded:
        raise ConfigError("nothing to replay: give a trace of 'offramp trace', or --off-policy LOG")
    own = policy_of_file(policy_file, policy, metadata or ())
    runs = LiveRuns(records_in(logs or [], recorded[0].bundle_id), own)
    found = measured(runs, policy, profile_file, costs, deadline_ms or None)
    models = cost_models(found, published, recorded[0].exits)
    first = next(iter(models.values()))
    if save_costs:
        path_model.save(first, save_costs)
    live = live_rows(runs, recorded[0], first, seed=0)
    answers: Answers = {}
    for name, model in models.items():
        setting = _setting(recorded, model, _policies(chosen, model, own), scenario, frames, error_cost)
        answers[name] = _played(setting, seeds, workers, [] if answers else live)
    words = [f"{scenario}, {seeds} seeds of {answers[next(iter(answers))]['frames']} frames each"]
    _write(answers, words, plot, html)
    if as_json:
        print(json.dumps(_as_one(answers)))
        return
    _print(answers, models)


def _setting(
    recorded: Sequence[Traces],
    model: PathModel,
    asked: Mapping[str, Mapping[str, Any] | FilePolicy],
    scenario: str,
    frames: int,
    error_cost: str,
) -> Setting:
    name, params = parsed(scenario)
    return Setting(
        recorded, model, asked, scenario=name, scenario_params=params, frames=frames or None,
        error_costs=error_costs_of(error_cost), points=CURVE_POINTS,
    )  # fmt: skip


def _played(setting: Setting, seeds: int, workers: int, live: list[dict[str, Any]]) -> dict[str, Any]:
    """One cost model's answer; progress on standard error."""
    frames = setting.frames or sum(each.samples for each in setting.traces)
    count = workers or workers_for(seeds, frames * len(setting.policies))
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("replaying", total=seeds)
        found = compare_streams(
            setting, range(seeds), workers=count, progress=lambda done, total: progress.update(task, completed=done)
        )
    return {**answer(found, setting.model, live), "scenario": setting.scenario, "frames": int(found.frames[-1])}


def _as_one(answers: Answers) -> dict[str, Any]:
    """The first cost model's answer, and the papers' below it where that is another."""
    first, *others = answers.values()
    return {**first, "published": others[0] if others else None}


def _policies(
    chosen: str, model: PathModel, own: Mapping[str, FilePolicy]
) -> dict[str, Mapping[str, Any] | FilePolicy]:
    known = standard_policies(model)
    names = [*trivial_policies(model), *(name.strip() for name in chosen.split(","))] if chosen else [*known, *own]
    return {name: own.get(name) or known.get(name, {}) for name in names}


def _write(answers: Answers, words: Sequence[str], plot: Path | None, html: Path | None) -> None:
    if not (plot or html):
        return
    if plot and plot.suffix.lower() not in (".png", ".svg"):
        raise ConfigError(f"--plot {plot}: expected a name that ends in .png or .svg")
    # Resolved by name, so that a missing matplotlib names the extra to install.
    titles = resolve("bandits.report.plots.comparison:Titles", "'offramp replay --plot'", "report")
    told = titles(words[0], "Cumulative regret per policy with bands over the seeds; mean loss per policy.")
    if plot:
        picture = resolve("bandits.report.plots.comparison:picture", "'offramp replay --plot'", "report")
        picture(answers, told, plot)
    if html:
        drawing = resolve("bandits.report.plots.comparison:drawing", "'offramp replay --html'", "report")
        drawings = {name: drawing(each, told, name) for name, each in answers.items()}
        write_atomically(html, page("Offramp replay", words, answers, drawings).encode())


def _print(answers: Answers, models: Mapping[str, PathModel]) -> None:
    console = _console()
    for name, found in answers.items():
        console.print(cost_table(found["rows"], f"{name} costs; ship: {models[name].ship}"))
        best = found["best_fixed"]["by_loss"]
        told = f"split {best['split']} at {best['threshold']:g} loses least of all fixed arms: {best['mean_loss']:.4f}"
        console.print(f"x best: over the best fixed arm in hindsight; {told}", highlight=False)
        console.print(regret_table(found["rows"]))


def cost_table(rows: Sequence[dict[str, Any]], title: str) -> Table:
    """What policies cost and lose; live rows are followed by their replay."""
    columns = (
        "frames",
        "accuracy",
        "agrees",
        "ms p50",
        "ms p95",
        "KB",
        "shipped",
        "cost",
        "loss",
        "by label",
        "x best",
    )
    shown = _columns(title, ("policy", *columns))
    for row in rows:
        shown.add_row(row["name"] + (" (live)" if row["live"] else ""), *_costs(row))
        if row.get("replayed"):
            shown.add_row("  its replay", *_costs(row["replayed"]))
    return shown


def _costs(row: dict[str, Any]) -> list[str]:
    return [
        f"{row['frames']:.0f}",
        _known(row["accuracy"], ".2%"),
        f"{row['agreement']:.2%}",
        f"{row['latency_ms']['p50']:.1f}",
        f"{row['latency_ms']['p95']:.1f}",
        f"{row['kb_per_frame']:.2f}",
        f"{row['offload_share']:.1%}",
        f"{row['mean_cost']:.2f}",
        f"{row['mean_loss']:.4f}",
        _known(row["mean_loss_labels"], ".4f"),
        _known(row["loss_ratio"], ".3f"),
    ]


def regret_table(rows: Sequence[dict[str, Any]]) -> Table:
    """What policies learned: regret with its spread over the seeds, and what they came to play."""
    shown = _columns(
        "regret against the best fixed arm in hindsight; oracle: against the best path of every single frame",
        ("policy", "regret", "5..95 %", "oracle", "settled", "us", "split @ threshold, most played"),
    )
    for row in (each for each in rows if not each["live"]):
        low, high = row["band"]["regret"]
        shown.add_row(
            row["name"],
            f"{row['regret']:.1f}",
            f"{low:.1f}..{high:.1f}",
            f"{row['oracle_regret']:.0f}",
            _known(row["settled_frame"], ".0f"),
            f"{row['us_per_frame']:.1f}",
            most_played(row, 2) or "no arms",
        )
    return shown


def _console() -> Console:
    """Never narrower than the tables: a figure that is cut off is none."""
    return Console(soft_wrap=True, width=max(Console().width, NEEDED))


def _columns(title: str, names: Sequence[str]) -> Table:
    shown = Table(title=title, pad_edge=False, padding=(0, 1, 0, 0), box=box.SIMPLE_HEAD)
    for name in names:
        shown.add_column(name, justify="left" if name == "policy" else "right", no_wrap=True)
    return shown


def _known(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _print_estimates(log: Path, policy: PolicyFile | None, *, as_json: bool) -> None:
    objective = policy.objective.build() if policy else None
    found = estimates_of(list(read_log(log)), objective)
    if as_json:
        print(json.dumps(found))
        return
    title = (
        f"mean reward of every arm in {log.name}, from {found['frames']} frames "
        f"({found['left_out']} left out); mu {found['mu']:g}"
    )
    shown = _columns(title, ("split @ threshold", "played", "IPS", "SNIPS", "DR", "effective frames", "warning"))
    for row in found["rows"]:
        spread = [
            f"{row[key]['value']:.4f} +- {_known(row[key]['std_error'], '.4f')}" for key in ("ips", "snips", "dr")
        ]
        shown.add_row(row["arm"], f"{row['played']:.1%}", *spread, f"{row['effective_frames']:.0f}", row["warning"])
    _console().print(shown)
