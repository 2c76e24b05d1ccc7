"""The outage run: the worker is killed, frozen, then cut off; each time it comes back."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from split_core.demo.job import Workshop
from split_core.demo.live import Cloud, decisions_path, edge_words
from split_core.demo.processes import Background
from split_core.telemetry.decisions import FrameRecord, read_log

# Sends every frame while there is a cloud, so that every fault is felt by every frame: the default policy sends
# one in ten or twenty, and would tell little about recovery.
POLICY = "offload_all"


@dataclass(frozen=True, slots=True)
class Fault:
    """One outage, in seconds on the machine's monotonic clock.

    Attributes:
        kind: "kill", "freeze" or "black_hole".
        began_s: when it was done to the worker or the link.
        over_s: when the worker was reachable again (for a kill: when the new process listened).
    """

    kind: str
    began_s: float
    over_s: float


@dataclass(frozen=True, slots=True)
class OutageRun:
    """What happened, as the driver and the edge saw it.

    Attributes:
        faults: in order.
        started_s: when the edge's clock began, on the machine's monotonic clock.
        summary: the edge's own count of frames, drops and outcomes.
    """

    faults: list[Fault]
    started_s: float
    summary: dict[str, Any]


def play_outage(shop: Workshop, running: Cloud) -> OutageRun:
    """Run a stream through the faults.

    Returns:
        The faults, when the edge's clock began, and what the edge counted itself.
    """
    setting = shop.setting
    ready = shop.out / "edge-ready.json"
    settings = [f"ready_file={ready}", f"bandit.name={POLICY}"]
    words = edge_words(shop, "any", "outage", running, frames=setting.outage_frames, settings=settings)
    edge = Background([*words, "--json"], shop.log("outage"), ready_file=ready, talks=True)
    try:
        faults = [_inflict(kind, running, setting.calm_s, setting.fault_s) for kind in FAULTS]
        edge.wait(setting.outage_frames / setting.fps + 30.0)
        summary: dict[str, Any] = json.loads(edge.hear())
    finally:
        edge.end()
    return OutageRun(faults, float(edge.ready["started_at_s"]), summary)


def _inflict(kind: str, running: Cloud, calm_s: float, fault_s: float) -> Fault:
    begin, finish = FAULTS[kind]
    time.sleep(calm_s)
    began_s = time.monotonic()
    begin(running)
    time.sleep(fault_s)
    finish(running)
    return Fault(kind, began_s, time.monotonic())


def _kill(running: Cloud) -> None:
    running.worker.signal(signal.SIGKILL)
    running.worker.process.wait()


def _restart(running: Cloud) -> None:
    running.worker.end()
    running.start_worker()


FAULTS: dict[str, tuple[Callable[[Cloud], None], Callable[[Cloud], None]]] = {
    "kill": (_kill, _restart),
    "freeze": (
        lambda running: running.worker.signal(signal.SIGSTOP),
        lambda running: running.worker.signal(signal.SIGCONT),
    ),
    "black_hole": (lambda running: running.shape(black_hole=True), lambda running: running.shape(black_hole=False)),
}


def outage_result(shop: Workshop, run: OutageRun) -> tuple[dict[str, Any], dict[str, Any]]:
    """`result.json`'s key `outage`, and the timeline for the plot."""
    records = sorted(read_log(decisions_path(shop, "any", "outage")), key=lambda record: record.seq)
    told = [
        {
            "kind": fault.kind,
            "from_s": round(fault.began_s - run.started_s, 3),
            "to_s": round(fault.over_s - run.started_s, 3),
            "recovery_s": _recovery_s(records, fault.over_s - run.started_s),
        }
        for fault in run.faults
    ]
    counts = Counter(record.seq for record in records)
    deadline_ms = shop.setting.deadline_ms
    result = {
        "policy": POLICY,
        "frames": run.summary["frames"],
        "outcomes": len(counts),
        "dropped": run.summary["dropped"],
        "deadline_misses": sum(record.latency_ms > deadline_ms for record in records),
        "duplicates": len(records) - len(counts),
        "degraded": sum(bool(record.degraded) for record in records),
        "faults": told,
    }
    return result, {"deadline_ms": deadline_ms, "frames": _timeline(records), "faults": told}


def in_words(outage: dict[str, Any]) -> str:
    """One line."""
    back = ", ".join(f"{fault['kind']} {fault['recovery_s']} s" for fault in outage["faults"])
    return (
        f"{outage['frames']} frames, {outage['outcomes']} outcomes, {outage['deadline_misses']} late, "
        f"{outage['duplicates']} twice, {outage['degraded']} degraded; cloud used again after {back}"
    )


def _recovery_s(records: list[FrameRecord], over_s: float) -> float | None:
    """Seconds from the return of the cloud to the first answer by it; None when there was none."""
    answered = [
        record.captured_s + record.latency_ms / 1e3
        for record in records
        if record.where == "cloud" and record.captured_s + record.latency_ms / 1e3 >= over_s
    ]
    return round(min(answered) - over_s, 3) if answered else None


def _timeline(records: list[FrameRecord]) -> dict[str, list[Any]]:
    return {
        "t_s": [round(record.captured_s, 3) for record in records],
        "latency_ms": [round(record.latency_ms, 2) for record in records],
        "kind": ["degraded" if record.degraded else record.where for record in records],
    }
