"""Every policy on every trace: python -m benchmarks.regret [--quick] [--json FILE] [--trace FILE.npz ...]

1. `regret`: after 1,000 frames, 10,000 and at the end, against the best fixed arm, of every policy that fits, on each
   trace under the papers' costs, stationary and in every other scenario; means and bands over the seeds.
2. `loss`: mean loss (cost, and 1 for an answer that is not the full network's) over that of the best fixed arm in
   hindsight, on traces of three exits or more, at prices of offloading from a tenth of the whole network to twice it.
3. `offline`: the sequential policy after 5,000 frames, over its offline fit, which has seen the whole stream.

OFFRAMP_DATA names a folder with the authors' logs; --trace names traces of `offramp trace`, more than one if given
again; without it the demo's stream is taken if `offramp demo` has left one in build/demo.
--only and --seeds make it shorter.  Progress goes to standard error.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from bandits import POLICIES
from bandits.build import make_policy
from bandits.compare import BEST_FIXED, Comparison, Setting, compare_streams
from bandits.hindsight import Hindsight
from bandits.parallel import workers_for
from bandits.path_model import PathModel
from bandits.policy import Policy
from bandits.published.source_threshold import tuned
from bandits.replay import replay_stream
from bandits.scenarios import SCENARIOS
from bandits.scenarios.build import make_stream
from bandits.sequential.offline import SequentialOffline
from benchmarks.harness import Goal, at_most, parser_of, report
from benchmarks.regret_traces import Task, recorded, tasks
from split_core.errors import SplitError
from split_core.traces import Traces

DEMO_STREAM = Path("build/demo/stream.npz")
FRAMES, MARKS = 10_000, (1_000, 10_000)
OURS = ("grid", "sequential")
BASELINES = ("cascade", "fixed", "source_threshold", "random", "edge_only", "cloud_only", "offload_all", BEST_FIXED)
# Prices of offloading over that of the whole network on the device, and prices of this.
OFFLOADS, NETWORKS = (0.1, 0.5, 1.0, 2.0), (0.1, 0.4, 1.2)
PRINTED_LOSS = ("sequential", "grid", "hi_lcb", "hi_lcb_lite", "h2t2", "ucbee", "splitee_s", "edge_only", "offload_all")


def main() -> None:
    """Run all three parts."""
    options = _options()
    found, goals = {}, []
    for part in (regrets, losses, offline):
        if not options.only or part.__name__ in options.only:
            found[part.__name__], more = part(options)
            goals += more
    report("regret", found, goals, options)


def _options() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--trace", type=Path, action="append", default=[], metavar="FILE", help="of offramp trace")
    parser.add_argument("--only", nargs="*", choices=["regrets", "losses", "offline"], help="these parts")
    parser.add_argument("--seeds", type=int, help="20 unless told, 2 when quick; a quarter where there are many cells")
    parser.add_argument("--scenarios", nargs="*", choices=list(SCENARIOS), help="these only")
    options = parser.parse_args()
    options.seeds = options.seeds or (2 if options.quick else 20)
    options.trace = options.trace or [path for path in (DEMO_STREAM,) if path.exists()]
    options.frames = 2_000 if options.quick else FRAMES
    return options


def say(text: str) -> None:
    """Progress."""
    print(text, file=sys.stderr, flush=True)


def regrets(options: argparse.Namespace) -> tuple[dict[str, Any], list[Goal]]:
    """Part 1."""
    found: dict[str, Any] = {}
    goals: list[Goal] = []
    for task in tasks(options.trace):
        policies, skipped = fitting(task)
        found[task.name] = {"skipped": skipped}
        for scenario in options.scenarios or SCENARIOS:
            say(f"regret: {task.name}, {scenario}")
            setting = Setting(
                (task.traces,), task.model, policies, scenario=scenario, frames=options.frames, arms=task.arms
            )
            # The two that the goals are about get all seeds.
            seeds = options.seeds if scenario in ("stationary", "shift") else max(2, options.seeds // 4)
            table = _table(_compared(setting, seeds))
            found[task.name][scenario] = table
            goals += _regret_goals(f"{task.name}, {scenario}", table, task)
    return found, goals


def fitting(task: Task) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Every policy of the registry that can be made for this network, and why the others cannot."""
    policies: dict[str, dict[str, Any]] = {}
    skipped: dict[str, str] = {}
    for name in [*POLICIES]:
        params = _params(name, task)
        try:
            _made(name, params, task.model)
            policies[name] = params
        except SplitError as error:
            skipped[name] = str(error)
    if task.thresholds:
        policies["ucbee c=1"] = {**policies["ucbee"], "c": 1.0}
    return {**policies, BEST_FIXED: {}}, skipped


def _params(name: str, task: Task) -> dict[str, Any]:
    """Defaults, but for the two that have to know the trace's arms, and the one that is tuned on other frames."""
    if name == "source_threshold":
        return tuned(task.traces.rows(np.random.default_rng(0).permutation(task.traces.samples)[:500]), task.model)
    if task.thresholds and name in ("grid", "random"):
        return {"splits": [1], "thresholds": sorted({arm.threshold for arm in task.arms or ()})}
    return {}


def _made(name: str, params: dict[str, Any], model: PathModel) -> Policy:
    rng = np.random.default_rng([0, 1])
    return make_policy(name, exits=model.exits, rng=rng, objective=model.objective, params=params)


def _compared(setting: Setting, seeds: int) -> Comparison:
    frames = (setting.frames or 0) * len(setting.policies)
    return compare_streams(setting, range(seeds), workers=workers_for(seeds, frames))


def _table(found: Comparison) -> dict[str, Any]:
    rows = {row["name"]: row for row in found.rows}
    table = {}
    for name, curve in found.regret.items():
        row, marks = rows[name], [mark for mark in MARKS if mark <= len(curve)]
        table[name] = {
            **{f"regret at {mark}": round(float(curve[mark - 1]), 2) for mark in marks},
            "regret": round(row["regret"], 2),
            "band": [round(value, 2) for value in row["band"]["regret"]],
            "loss ratio": None if row["loss_ratio"] is None else round(row["loss_ratio"], 4),
            "accuracy": row["accuracy"],
            "agreement": row["agreement"],
            "settled": row["settled_frame"],
            "arms": bool(row["arm_share"]),
            "us per frame": round(found.us_per_frame[name], 1),
        }
    return table


def _regret_goals(where: str, table: dict[str, Any], task: Task) -> list[Goal]:
    others = {name: row for name, row in table.items() if name.split()[0] not in (*OURS, *BASELINES)}
    armed = {name: row["regret"] for name, row in others.items() if row["arms"]}
    best = min(armed, key=armed.__getitem__)
    goals = [
        at_most(f"regret of grid, {where}", table["grid"]["regret"], "", armed[best], f"best published arms: {best}")
    ]
    losses = {name: row["loss ratio"] for name, row in others.items()}
    least = min(losses, key=losses.__getitem__)
    ratio = table["sequential"]["loss ratio"]
    goals.append(at_most(f"loss of sequential, {where}", ratio, "x", losses[least], f"best published: {least}"))
    if task.thresholds:
        ucb1 = table["ucbee c=1"]["regret"]
        goals.append(at_most(f"regret of grid, {where}", table["grid"]["regret"], "", ucb1 / 2, "half of UCB1, c=1"))
    return goals


def losses(options: argparse.Namespace) -> tuple[dict[str, Any], list[Goal]]:
    """Part 2."""
    found: dict[str, Any] = {}
    goals: list[Goal] = []
    for name, traces in recorded(options.trace).items():
        if traces.exits < 3:
            continue
        for network, share in _prices(options):
            where = f"{name}, network {network:g}, offload {share:g} of it"
            say(f"loss: {where}")
            model = _model(traces, network, share)
            policies = {**{each: {} for each in PRINTED_LOSS}, BEST_FIXED: {}}
            rows = _compared(
                Setting((traces,), model, policies, frames=options.frames), max(2, options.seeds // 4)
            ).rows
            found[where] = {row["name"]: _loss_row(row) for row in rows}
            goals.append(_loss_goal(where, found[where]["sequential"]["ratio"], share))
    return found, goals


def _prices(options: argparse.Namespace) -> list[tuple[float, float]]:
    networks = NETWORKS[1:2] if options.quick else NETWORKS
    return [(network, share) for network in networks for share in OFFLOADS]


def _model(traces: Traces, network: float, share: float) -> PathModel:
    return PathModel.published(traces.exits, per_layer=network / traces.exits, offload=share * network)


def _loss_row(row: dict[str, Any]) -> dict[str, Any]:
    known = ("mean_loss", "mean_loss_labels", "agreement", "accuracy", "offload_share")
    return {"ratio": row["loss_ratio"], "band": row["band"]["loss_ratio"], **{key: row[key] for key in known}}


def _loss_goal(where: str, ratio: float, share: float) -> Goal:
    """Offloading costs more than the remaining segments from every depth where it costs the whole network or more."""
    goal = 0.95 if share >= 1.0 else 1.01
    return at_most(f"loss of sequential, {where}", ratio, "x", goal, "best fixed arm in hindsight")


def offline(options: argparse.Namespace) -> tuple[dict[str, Any], list[Goal]]:
    """Part 3."""
    found: dict[str, Any] = {}
    goals: list[Goal] = []
    for name, traces in recorded(options.trace).items():
        for network, share in _prices(options)[:: 3 if options.quick else 2]:
            where = f"{name}, network {network:g}, offload {share:g} of it"
            say(f"offline: {where}")
            model = _model(traces, network, share)
            online, taught = np.mean(
                [_second_half(traces, model, seed) for seed in range(min(options.seeds, 5))], axis=0
            )
            found[where] = {"online": online, "offline": taught, "ratio": online / taught}
            goals.append(at_most(f"loss after 5,000 frames, {where}", online / taught, "x", 1.05, "offline fit"))
    return found, goals


def _second_half(traces: Traces, model: PathModel, seed: int) -> tuple[float, float]:
    """Mean loss of frames 5,001..10,000, learned on the way and fitted in hindsight."""
    rng = np.random.default_rng(seed)
    hindsight = Hindsight(make_stream("stationary", (traces,), model, rng=rng, frames=FRAMES))
    ready = SequentialOffline(hindsight.stream.traces, model)
    runs = [
        replay_stream(policy, hindsight, np.random.default_rng([seed, 2])).run
        for policy in (_made("sequential", {}, model), ready)
    ]
    return float(runs[0].loss[5_000:].mean()), float(runs[1].loss[5_000:].mean())


if __name__ == "__main__":
    main()
