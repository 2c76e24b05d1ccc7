"""Policies side by side on one stream, the trivial ones always among them, over many seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandits.hindsight import Hindsight
from bandits.loss import ErrorCosts
from bandits.of_file import FilePolicy, policy_over
from bandits.parallel import Progress, no_progress, run_all
from bandits.path_model import PathModel
from bandits.policy import Arm, Policy
from bandits.published.leaky import Leaky
from bandits.published.sample_oracle import SampleOracle
from bandits.replay import replay_stream
from bandits.runs import Run, summarise
from bandits.scenarios.build import make_stream
from bandits.sequential.offline import SequentialOffline
from split_core.tensors import FloatArray
from split_core.traces import Traces

# No policies that could be deployed: they are chosen or fitted in hindsight, or told what no device knows.
BEST_FIXED, LEAKY, ORACLE, OFFLINE = "best_fixed", "splitee_s_leaky", "sample_oracle", "sequential_offline"
BAND = (5.0, 95.0)  # percentiles over the seeds
BANDED = ("accuracy", "agreement", "mean_cost", "mean_loss", "loss_ratio", "regret")


@dataclass(frozen=True, slots=True)
class Setting:
    """What every seed has in common.

    Attributes:
        traces: the trace; what it shifts to, if there is more than one.
        model: costs at the start.
        policies: name to parameters, or to what a policy file asks for; "best_fixed" stands for the best fixed arm
            in hindsight, and what follows a space in a name only tells it from others: "ucbee c=1".
        scenario: a name of `bandits.scenarios.SCENARIOS`.
        scenario_params: of it.
        frames: length of the stream; that of the traces unless told.
        error_costs: of a wrong answer, as in `bandits.loss.LossTable`.
        points: of a curve that are kept, evenly spaced; all unless told.
        arms: that the best fixed arm is chosen from; those of `bandits.regret.default_arms` unless told.
    """

    traces: Sequence[Traces]
    model: PathModel
    policies: Mapping[str, Mapping[str, Any] | FilePolicy]
    scenario: str = "stationary"
    scenario_params: Mapping[str, Any] = field(default_factory=dict)
    frames: int | None = None
    error_costs: ErrorCosts = 1.0
    points: int | None = None
    arms: Sequence[Arm] | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Policies over the same frames.

    Attributes:
        rows: one `summarise` row per policy, every number the mean over the seeds; `band` has the 5th and 95th
            percentile over the seeds of some.
        frames: (P,) after how many frames the curves are given.
        regret: (P,) cumulative regret against the best fixed arm, per policy, mean over the seeds.
        regret_band: (2, P) 5th and 95th percentile of the same.
        oracle_regret: (P,) against the best path of every single frame.
        runs: of the first seed, per policy, for pictures over time.
        us_per_frame: of the policy's own time, per policy.
        phases: name and frames of each phase.
        best_fixed: split, threshold and mean reward of the best fixed arm of the first seed's stream, and in `by_loss`
            split, threshold and mean loss of the one that loses least.
    """

    rows: list[dict[str, Any]]
    frames: NDArray[np.int64]
    regret: dict[str, FloatArray]
    regret_band: dict[str, FloatArray]
    oracle_regret: dict[str, FloatArray]
    runs: dict[str, Run]
    us_per_frame: dict[str, float]
    phases: list[dict[str, Any]]
    best_fixed: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Played:
    """One policy over one seed, thinned; the run itself of the first seed only."""

    row: dict[str, Any]
    regret: FloatArray
    oracle: FloatArray
    us_per_frame: float
    run: Run | None


@dataclass(frozen=True, slots=True)
class _Seed:
    """All policies over one seed's stream, and what can be said of this."""

    played: dict[str, _Played]
    phases: list[dict[str, Any]]
    best_fixed: dict[str, Any]


def trivial_policies(model: PathModel) -> dict[str, dict[str, Any]]:
    """What every report prints beside ours; cloud only just where inputs may leave."""
    cloud: dict[str, dict[str, Any]] = {"cloud_only": {}} if model.ship == "any" else {}
    return {"edge_only": {}, **cloud, "offload_all": {}, "random": {}, BEST_FIXED: {}}


def standard_policies(model: PathModel) -> dict[str, dict[str, Any]]:
    """The trivial policies, the published ones and ours, with their defaults."""
    return {**trivial_policies(model), "splitee": {}, "splitee_s": {}, "ucbee": {}, "grid": {}, "sequential": {}}


def compare(
    traces: Traces, model: PathModel, policies: Mapping[str, Mapping[str, Any] | FilePolicy], seeds: Sequence[int]
) -> Comparison:
    """Replay every policy over the same shuffles of `traces`; see `compare_streams`."""
    return compare_streams(Setting((traces,), model, policies), seeds)


def compare_streams(
    setting: Setting, seeds: Sequence[int], *, workers: int = 1, progress: Progress = no_progress
) -> Comparison:
    """Replay every policy over the same streams.

    Args:
        setting: trace, costs, scenario, policies.
        seeds: each orders the frames, draws the link and seeds the policies.
        workers: processes; the figures do not depend on it.
        progress: told (seeds done, seeds).

    Raises:
        ConfigError: no such policy or scenario, or a wrong parameter.
        ProfileError: the trace has another number of exits than the model.
        TraceError: the traces do not fit the scenario.
    """
    tasks = [(seed, seed == seeds[0]) for seed in seeds]
    found = run_all(partial(_play_seed, setting), tasks, workers=workers, progress=progress)
    played = {name: [one.played[name] for one in found] for name in setting.policies}
    frames = int(next(iter(played.values()))[0].row["frames"])
    return Comparison(
        [seed_mean([each.row for each in runs]) for runs in played.values()],
        _kept(frames, setting.points) + 1,
        {name: np.mean([each.regret for each in runs], axis=0) for name, runs in played.items()},
        {name: np.percentile([each.regret for each in runs], BAND, axis=0) for name, runs in played.items()},
        {name: np.mean([each.oracle for each in runs], axis=0) for name, runs in played.items()},
        {name: runs[0].run for name, runs in played.items() if runs[0].run is not None},
        {name: float(np.median([each.us_per_frame for each in runs])) for name, runs in played.items()},
        found[0].phases,
        found[0].best_fixed,
    )


def _play_seed(setting: Setting, task: tuple[int, bool]) -> _Seed:
    """Every policy over the stream of one seed."""
    seed, keep = task
    stream = make_stream(
        setting.scenario,
        setting.traces,
        setting.model,
        rng=np.random.default_rng(seed),
        frames=setting.frames,
        params=setting.scenario_params,
    )
    hindsight, found = Hindsight(stream, setting.error_costs, arms=setting.arms), {}
    phases = [{"name": phase.name, "frames": phase.frames} for phase in stream.phases]
    for name, params in setting.policies.items():
        policy = _policy(name, params, hindsight, np.random.default_rng([seed, 1]), setting.error_costs)
        replayed = replay_stream(policy, hindsight, np.random.default_rng([seed, 2]), name=name)
        run, kept = replayed.run, _kept(len(replayed.run.cost), setting.points)
        found[name] = _Played(
            summarise(run),
            run.regret.best_fixed[kept],
            run.regret.oracle[kept],
            1e6 * replayed.policy_s / len(run.cost),
            run if keep else None,
        )
    return _Seed(found, phases, _best_fixed(hindsight))


def _best_fixed(hindsight: Hindsight) -> dict[str, Any]:
    (arm, reward), (other, loss) = hindsight.best, hindsight.best_by_loss
    by_loss = {"split": other.split, "threshold": other.threshold, "mean_loss": loss}
    return {"split": arm.split, "threshold": arm.threshold, "mean_reward": reward, "by_loss": by_loss}


def _policy(
    name: str,
    params: Mapping[str, Any] | FilePolicy,
    hindsight: Hindsight,
    rng: np.random.Generator,
    error_costs: ErrorCosts,
) -> Policy:
    model, name = hindsight.stream.model, name.partition(" ")[0]
    if name == BEST_FIXED:
        arm = hindsight.best[0]
        name, params = "fixed", {"split": arm.split, "threshold": arm.threshold}
    traces = hindsight.stream.traces
    if name == ORACLE:
        return SampleOracle(hindsight.losses)
    if name == OFFLINE:
        return SequentialOffline(traces, model, error_costs)
    if name == LEAKY:
        return Leaky(policy_over("splitee_s", params, traces, rng, model.objective), traces)
    return policy_over(name, params, traces, rng, model.objective)


def _kept(frames: int, points: int | None) -> NDArray[np.int64]:
    """Indices of the frames that curves keep: all, or evenly spaced ones with both ends."""
    return np.unique(np.linspace(0, frames - 1, min(frames, points or frames)).astype(np.int64))


def seed_mean(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The mean of rows, and how far some figures are spread."""
    known = {key: [row[key] for row in rows if row[key] is not None] for key in BANDED}
    band = {key: np.percentile(values, BAND).tolist() for key, values in known.items() if values}
    # Those that settled say nothing of those that never did.
    settled = [row["settled_frame"] for row in rows]
    return {**_mean(rows), "settled_frame": None if None in settled else float(np.mean(settled)), "band": band}


def _mean(values: Sequence[Any]) -> Any:
    """Rows to one row: numbers are averaged, whole numbers stay whole when they agree, what is unknown is left out."""
    values = [value for value in values if value is not None]
    if not values:
        return None
    first = values[0]
    if isinstance(first, dict):
        keys = dict.fromkeys(key for value in values for key in value)
        # An arm that a seed never played has a share of 0 there.
        return {key: _mean([value.get(key, 0.0) for value in values]) for key in keys}
    if isinstance(first, list):
        return [_mean(column) for column in zip(*values, strict=True)]
    if all(value == first for value in values):
        return first
    return float(np.mean(values))
