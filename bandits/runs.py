"""A run of a policy, replayed or live, frame by frame, and its summary.  Both kinds are counted by the same code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandits.path_model import PathModel
from bandits.policy import Arm
from bandits.regret import Regret, RewardTable, best_fixed_arm, regret_of
from split_core.telemetry.decisions import FrameRecord
from split_core.tensors import FloatArray
from split_core.traces import Traces


@dataclass(frozen=True, slots=True)
class FrameResult:
    """How one frame ended.

    Attributes:
        exit: that gave the answer, 1..K; K for a verdict.
        where: "edge" or "cloud".
        shipped: the cut whose tensors were sent, -1 for none.
        label, confidence: the answer.
        latency_ms: until the outcome.
        payload_bytes: sent.
        cost: in units of the objective.
        degraded: shipped, but answered by the device because no reply came in time.
        arm: what the policy played, None without arms.
        arm_index: its place in the policy's list, else -1.
        heads: exits that were read.
    """

    exit: int
    where: str
    shipped: int
    label: int
    confidence: float
    latency_ms: float
    payload_bytes: float
    cost: float
    degraded: bool
    arm: Arm | None
    arm_index: int
    heads: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """One policy over N frames.

    Attributes:
        name: of the policy.
        live: measured on real processes, or replayed.
        exits: K.
        deadline_ms: None for no deadline.
        exit, arm, shipped: (N,) int64, see `FrameResult`; arm is its index or -1.
        cloud, degraded: (N,) bool.
        correct: (N,) bool, False where the label is unknown.
        labelled: (N,) bool.
        agrees: (N,) bool: the answer is the full model's.
        latency_ms, payload_bytes, cost, reward: (N,) float64.
        regret: cumulative.
    """

    name: str
    live: bool
    exits: int
    deadline_ms: float | None
    exit: NDArray[np.int64]
    arm: NDArray[np.int64]
    shipped: NDArray[np.int64]
    cloud: NDArray[np.bool_]
    degraded: NDArray[np.bool_]
    correct: NDArray[np.bool_]
    labelled: NDArray[np.bool_]
    agrees: NDArray[np.bool_]
    latency_ms: FloatArray
    payload_bytes: FloatArray
    cost: FloatArray
    reward: FloatArray
    regret: Regret


def run_of(name: str, results: Sequence[FrameResult], traces: Traces, model: PathModel, *, live: bool) -> Run:
    """Put the frames of a run together.

    Args:
        name: of the policy.
        results: one per row of `traces`, in the same order.
        traces: labels and the full model's answers; also what the arms would have earned.
        model: costs.
        live: measured, not replayed.
    """
    label = np.array([r.label for r in results], np.int64)
    cost = np.array([r.cost for r in results], np.float64)
    reward = np.array([r.confidence for r in results], np.float64) - model.objective.mu * cost
    regret = regret_of(
        RewardTable(traces, model),
        best_fixed_arm(traces, model)[1],
        [r.arm for r in results],
        reward,
        _price_of_extra_heads(results, model),
    )
    return Run(
        name,
        live,
        model.exits,
        model.deadline_ms,
        exit=np.array([r.exit for r in results], np.int64),
        arm=np.array([r.arm_index for r in results], np.int64),
        shipped=np.array([r.shipped for r in results], np.int64),
        cloud=np.array([r.where == "cloud" for r in results]),
        degraded=np.array([r.degraded for r in results]),
        correct=label == traces.labels,
        labelled=traces.labels >= 0,
        agrees=label == traces.prediction[:, -1],
        latency_ms=np.array([r.latency_ms for r in results], np.float64),
        payload_bytes=np.array([r.payload_bytes for r in results], np.float64),
        cost=cost,
        reward=reward,
        regret=regret,
    )


def live_run(
    name: str, records: Sequence[FrameRecord], samples: NDArray[np.int64], traces: Traces, model: PathModel
) -> Run:
    """The same for a run of real processes.

    Args:
        name: of the policy.
        records: of the decision log.
        samples: (N,) the row of `traces` that each record's frame showed.
        traces: readings, labels and the full model's answers of the samples.
        model: costs, for regret and for frames whose record has none.
    """
    results = [_result_of(record, model) for record in records]
    return run_of(name, results, traces.rows(np.asarray(samples, np.int64)), model, live=True)


def summarise(run: Run) -> dict[str, Any]:
    """The row of a run in tables and `result.json`, JSON types only.

    `exit_share` counts the answers of each exit, on the device or in the cloud; `accuracy` is over frames with a
    known label, None without any.
    """
    frames = len(run.cost)
    quantiles = np.percentile(run.latency_ms, [50, 95, 99])
    late = np.zeros(frames, bool) if run.deadline_ms is None else run.latency_ms > run.deadline_ms
    return {
        "name": run.name,
        "live": run.live,
        "frames": frames,
        "accuracy": float(run.correct[run.labelled].mean()) if run.labelled.any() else None,
        "agreement": float(run.agrees.mean()),
        "latency_ms": {
            "mean": float(run.latency_ms.mean()),
            "p50": float(quantiles[0]),
            "p95": float(quantiles[1]),
            "p99": float(quantiles[2]),
        },
        "kb_per_frame": float(run.payload_bytes.mean()) / 1000.0,
        "exit_share": [float((run.exit == k).mean()) for k in range(1, run.exits + 1)],
        "offload_share": float((run.shipped >= 0).mean()),
        "mean_cost": float(run.cost.mean()),
        "regret": float(run.regret.best_fixed[-1]),
        "deadline_misses": int(late.sum()),
        "degraded": int(run.degraded.sum()),
    }


def _result_of(record: FrameRecord, model: PathModel) -> FrameResult:
    cost = record.cost
    if cost is None:
        cost = model.objective.cost(record.latency_ms, payload_bytes=record.payload_bytes, cloud_ms=record.cloud_ms)
    return FrameResult(
        record.exit,
        record.where,
        record.shipped,
        record.label,
        record.confidence,
        record.latency_ms,
        record.payload_bytes,
        cost,
        bool(record.degraded),
        None if record.arm is None else Arm(*record.arm),
        -1,
        record.exits,
    )


def _price_of_extra_heads(results: Sequence[FrameResult], model: PathModel) -> FloatArray:
    """(N,) reward that was spent on reading more exits than the one at the arm's split."""
    price = model.objective.mu * model.objective.ms
    return np.array(
        [
            price * sum(model.head_ms[head] for head in r.heads if r.arm is not None and head != r.arm.split)
            for r in results
        ]
    )
