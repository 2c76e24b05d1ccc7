"""A run of a policy, replayed or live, frame by frame, and its summary.  Both kinds are counted by the same code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandits.hindsight import Hindsight, Regret
from bandits.loss import losses
from bandits.path_model import PathModel
from bandits.policy import Arm
from bandits.stream import in_order
from split_core.telemetry.decisions import FrameRecord
from split_core.tensors import FloatArray
from split_core.traces import Traces

SETTLED = 0.95  # of all plays from there on


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
        loss: (N,) float64, mistakes counted against the full model; see `bandits.loss`.
        loss_labels: the same against labels, None when a frame has none.
        best_fixed_loss: mean loss of the best fixed arm in hindsight.
        regret: cumulative.
        settled_frame: see the function of this name.
        plays: how often each arm was played, most first.
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
    loss: FloatArray
    loss_labels: FloatArray | None
    best_fixed_loss: float
    regret: Regret
    settled_frame: int | None
    plays: tuple[tuple[Arm, int], ...]


def run_of(name: str, results: Sequence[FrameResult], hindsight: Hindsight, *, live: bool) -> Run:
    """Put the frames of a run together.

    Args:
        name: of the policy.
        results: one per frame of the stream, in the same order.
        hindsight: labels and the full model's answers; also what the arms would have earned.
        live: measured, not replayed.
    """
    traces, model = hindsight.stream.traces, hindsight.stream.model
    label = np.array([r.label for r in results], np.int64)
    cost = np.array([r.cost for r in results], np.float64)
    reward = np.array([r.confidence for r in results], np.float64) - model.objective.mu * cost
    correct, labelled, agrees = label == traces.labels, traces.labels >= 0, label == traces.prediction[:, -1]
    arms = [r.arm for r in results]
    charged = partial(losses, cost, error_costs=hindsight.error_costs, mu=model.objective.mu)
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
        correct=correct,
        labelled=labelled,
        agrees=agrees,
        latency_ms=np.array([r.latency_ms for r in results], np.float64),
        payload_bytes=np.array([r.payload_bytes for r in results], np.float64),
        cost=cost,
        reward=reward,
        loss=charged(~agrees),
        loss_labels=charged(~correct) if labelled.all() else None,
        best_fixed_loss=hindsight.best_by_loss[1],
        regret=hindsight.regret(arms, reward, _price_of_extra_heads(results, model)),
        settled_frame=settled_frame(arms),
        plays=tuple(Counter(arm for arm in arms if arm is not None).most_common()),
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
    shown = traces.rows(np.asarray(samples, np.int64))
    return run_of(name, results, Hindsight(in_order(shown, model)), live=True)


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
        "oracle_regret": float(run.regret.oracle[-1]),
        "mean_loss": float(run.loss.mean()),
        "mean_loss_labels": None if run.loss_labels is None else float(run.loss_labels.mean()),
        "loss_ratio": float(run.loss.mean()) / run.best_fixed_loss if run.best_fixed_loss > 0.0 else None,
        "settled_frame": run.settled_frame,
        "arm_share": {f"{arm.split}@{arm.threshold:g}": count / frames for arm, count in run.plays},
        "deadline_misses": int(late.sum()),
        "degraded": int(run.degraded.sum()),
    }


def settled_frame(arms: Sequence[Arm | None]) -> int | None:
    """The frame from which on at least 95 % of all plays are of one arm, the favourite of the last tenth.

    None for a policy without arms, and for one that was still moving then: a favourite of the last tenth only
    is no convergence.
    """
    last = arms[-max(1, len(arms) // 10) :]
    favourite = Counter(last).most_common(1)[0][0]
    if favourite is None:
        return None
    hits = np.array([arm == favourite for arm in arms])
    shares = np.cumsum(hits[::-1])[::-1] / np.arange(len(arms), 0, -1)
    start = int(np.argmax(shares >= SETTLED))
    return start + 1 if shares[start] >= SETTLED and start < len(arms) - len(last) else None


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
