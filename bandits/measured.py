"""Live runs beside their replay: the costs as the runs met them, and the same policies over the same frames.

What a reader learns from it is how far to believe the replay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bandits.of_file import FilePolicy, policy_over
from bandits.path_model import PathModel, fit_path_model
from bandits.policy import Policy
from bandits.replay import replay
from bandits.runs import live_run, summarise
from split_core.errors import ProfileError, TraceError
from split_core.policy import PolicyFile
from split_core.profiles import HwProfile
from split_core.telemetry.decisions import FrameRecord
from split_core.tensors import FloatArray
from split_core.traces import Traces

Records = Sequence[FrameRecord]


@dataclass(frozen=True, slots=True)
class LiveRuns:
    """Decision logs of runs over the frames of one trace.

    Attributes:
        records: by name of the policy; a record's `seq` is the trace's row.
        params: of each policy, for its replay; or what its policy file asks for.
    """

    records: Mapping[str, Records]
    params: Mapping[str, Mapping[str, Any] | FilePolicy]


def measured_model(
    runs: LiveRuns, policy: PolicyFile, profile: HwProfile, *, deadline_ms: float | None, seed: int
) -> PathModel:
    """Costs fitted to all live runs together.

    Steps of the device are the profile's, stretched by one factor so that they meet what the runs measured
    (a sleeping process wakes late); the worker's times are medians per cut, where it was used.

    Raises:
        PolicyFileError: policy and profile are of two bundles.
        ProfileError: no frame was answered by the cloud, or a run is of a deeper network.
        TraceError: a run has no frames.
    """
    policy.check_bound_to(profile.bundle_id, profile.exits, "the policy beside this profile")
    _check_depth(runs, profile.exits)
    records = [record for log in runs.records.values() for record in log]
    stretch = _stretch(records, profile)
    return fit_path_model(
        records,
        device_ms=(stretch * profile.device_ms()).tolist(),
        head_ms=(stretch * profile.head_ms()).tolist(),
        encode_ms=_encode_ms(records, profile).tolist(),
        cloud_ms=_cloud_ms(records, profile).tolist(),
        objective=policy.objective.build(),
        ship=policy.ship,
        deadline_ms=deadline_ms,
        rng=np.random.default_rng(seed),
    )


def _check_depth(runs: LiveRuns, exits: int) -> None:
    for name, records in runs.records.items():
        if not records:
            raise TraceError(f"the run {name!r} has no frames; give the log of one that has")
        deepest = max(max((r.exit, r.shipped + 1, *r.exits, *(r.arm or ())[:1])) for r in records)
        if deepest > exits:
            raise ProfileError(
                f"the run {name!r} used exit {deepest}, these costs are for {exits}; give logs of the same network"
            )


def _stretch(records: Records, profile: HwProfile) -> float:
    """Median of measured over expected device time; 1 when nothing ran on the device."""
    device, heads = profile.device_ms(), profile.head_ms()
    ratios = [
        record.device_ms / (device[record.exits[-1]] + heads[list(record.exits)].sum())
        for record in records
        if record.exits and not record.degraded
    ]
    return float(np.median(ratios)) if ratios else 1.0


def _encode_ms(records: Records, profile: HwProfile) -> FloatArray:
    means = profile.encode_ms()
    for cut in range(len(means)):
        measured = [record.encode_ms for record in records if record.shipped == cut]
        if measured:
            means[cut] = np.median(measured)
    return means


def _cloud_ms(records: Records, profile: HwProfile) -> FloatArray:
    """(K,) the worker's time from each cut; where it was not used, the profile's share of what was."""
    steps = np.array([timing.p50_ms for timing in profile.segments])
    expected = np.array([steps[cut:].sum() for cut in range(len(steps))])
    median = {
        cut: float(np.median([r.cloud_ms for r in records if r.where == "cloud" and r.shipped == cut]))
        for cut in {r.shipped for r in records if r.where == "cloud"}
    }
    ratio = float(np.mean([median[cut] / expected[cut] for cut in median])) if median else 1.0
    return np.array([median.get(cut, ratio * expected[cut]) for cut in range(len(steps))])


def live_rows(runs: LiveRuns, traces: Traces, model: PathModel, *, seed: int) -> list[dict[str, Any]]:
    """One summary per live run, with the key `replayed`: the same policy over the same frames.

    Raises:
        ProfileError: a run is of a deeper network than `model`.
        TraceError: a run has no frames, or frames that the trace does not have.
    """
    _check_depth(runs, model.exits)
    rows = []
    for name, records in runs.records.items():
        samples = np.array([record.seq for record in records], np.int64)
        if samples.max() >= traces.samples:
            raise TraceError(
                f"the run {name!r} has frame {samples.max()}, the trace {traces.samples} rows; "
                f"record the trace over the frames that the run was shown"
            )
        shown = traces.rows(samples)
        row = summarise(live_run(name, records, samples, traces, model))
        again = replay(_policy(name, runs, shown, model, seed), shown, model, np.random.default_rng(seed), name=name)
        rows.append({**row, "replayed": summarise(again)})
    return rows


def _policy(name: str, runs: LiveRuns, shown: Traces, model: PathModel, seed: int) -> Policy:
    return policy_over(name, runs.params.get(name, {}), shown, np.random.default_rng([seed, 1]), model.objective)
