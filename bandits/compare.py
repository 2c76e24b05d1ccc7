"""Policies side by side on one trace, the trivial ones always among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bandits.build import make_policy
from bandits.path_model import PathModel
from bandits.policy import Policy
from bandits.regret import best_fixed_arm
from bandits.replay import replay
from bandits.runs import Run, summarise
from split_core.tensors import FloatArray
from split_core.traces import Traces

BEST_FIXED = "best_fixed"  # not a policy that could be deployed: the arm is chosen in hindsight


@dataclass(frozen=True, slots=True)
class Comparison:
    """Policies over the same frames.

    Attributes:
        rows: one `summarise` row per policy, every number the mean over the seeds.
        regret: (N,) cumulative regret against the best fixed arm, per policy, mean over the seeds.
        oracle_regret: (N,) the same against the best path of every single frame.
        runs: of the first seed, per policy, for pictures over time.
    """

    rows: list[dict[str, Any]]
    regret: dict[str, FloatArray]
    oracle_regret: dict[str, FloatArray]
    runs: dict[str, Run]


def trivial_policies(model: PathModel) -> dict[str, dict[str, Any]]:
    """What every report prints beside ours; cloud only just where inputs may leave."""
    cloud: dict[str, dict[str, Any]] = {"cloud_only": {}} if model.ship == "any" else {}
    return {"edge_only": {}, **cloud, "offload_all": {}, "random": {}, BEST_FIXED: {}}


def standard_policies(model: PathModel) -> dict[str, dict[str, Any]]:
    """The trivial policies, the published ones and ours, with their defaults."""
    return {**trivial_policies(model), "splitee": {}, "splitee_s": {}, "ucbee": {}, "grid": {}}


def compare(
    traces: Traces, model: PathModel, policies: Mapping[str, Mapping[str, Any]], seeds: Sequence[int]
) -> Comparison:
    """Replay every policy over the same shuffles of `traces`.

    Args:
        traces: (N, K) readings.
        model: costs.
        policies: name to parameters; "best_fixed" stands for the best fixed arm in hindsight.
        seeds: each shuffles the frames, draws the link and seeds the policies.

    Raises:
        ConfigError: no such policy, or a wrong parameter.
        ProfileError: the trace has another number of exits than `model`.
    """
    found: dict[str, list[Run]] = {name: [] for name in policies}
    for seed in seeds:
        shuffled = traces.rows(np.random.default_rng(seed).permutation(traces.samples))
        for name, params in policies.items():
            policy = _policy(name, params, traces, model, np.random.default_rng([seed, 1]))
            found[name].append(replay(policy, shuffled, model, np.random.default_rng([seed, 2]), name=name))
    return Comparison(
        [_mean([summarise(run) for run in runs]) for runs in found.values()],
        {name: np.mean([run.regret.best_fixed for run in runs], axis=0) for name, runs in found.items()},
        {name: np.mean([run.regret.oracle for run in runs], axis=0) for name, runs in found.items()},
        {name: runs[0] for name, runs in found.items()},
    )


def _policy(name: str, params: Mapping[str, Any], traces: Traces, model: PathModel, rng: np.random.Generator) -> Policy:
    if name == BEST_FIXED:
        arm, _ = best_fixed_arm(traces, model)
        name, params = "fixed", {"split": arm.split, "threshold": arm.threshold}
    return make_policy(name, exits=model.exits, rng=rng, objective=model.objective, params=params)


def _mean(values: Sequence[Any]) -> Any:
    """Rows with the same keys to one row: numbers are averaged, whole numbers stay whole when they agree."""
    first = values[0]
    if isinstance(first, dict):
        return {key: _mean([value[key] for value in values]) for key in first}
    if isinstance(first, list):
        return [_mean(column) for column in zip(*values, strict=True)]
    if all(value == first for value in values) or first is None:
        return first
    return float(np.mean(values))
