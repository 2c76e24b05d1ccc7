"""What the camera's owner gets: exactly one outcome per frame, by its deadline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from split_core.telemetry.decisions import FrameRecord


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to one frame.

    Attributes:
        seq: the frame's.
        label: class index; `name` is its name.
        confidence: calibrated, in [0, 1].
        exit: which exit answered, 1..K; K is the full model.
        where: who computed it.
        degraded: empty when this is the answer that was wanted; else why it is the best local reading
            instead: "timeout", "no_link", "busy", "refused", "deadline".
        latency_ms: from capture to here.
        late: past the deadline, which must not happen.
        drifted: what the camera sees is not what was calibrated on, so the policy's promises are void.
        marked: why a person should look: "unsure", "guardrail", "uncertified", "never_early" where nothing deeper
            could be asked; empty when nobody need.
        camera: that saw the frame.
        captured_at: when, in seconds since 1970, by the clock as it was at the time of the outcome.
    """

    seq: int
    label: int
    name: str
    confidence: float
    exit: int
    where: Literal["edge", "cloud"]
    degraded: str
    latency_ms: float
    late: bool
    drifted: bool = False
    marked: str = ""
    camera: str = ""
    captured_at: float = 0.0


class Tally:
    """Counts outcomes, for the line that a run ends with."""

    def __init__(self) -> None:
        self.outcomes = self.late = self.cloud = self.drifted = 0
        self.degraded: Counter[str] = Counter()
        self.marked: Counter[str] = Counter()
        self.cameras: Counter[str] = Counter()
        self._latency_ms: list[float] = []
        self._seen = 0

    def __call__(self, outcome: Outcome, _: FrameRecord) -> None:
        """Take one outcome."""
        self.outcomes += 1
        self.cameras[outcome.camera] += 1
        self.late += outcome.late
        self.drifted += outcome.drifted
        self.cloud += outcome.where == "cloud"
        if outcome.degraded:
            self.degraded[outcome.degraded] += 1
        if outcome.marked:
            self.marked[outcome.marked] += 1
        self._keep(outcome.latency_ms)

    def _keep(self, latency_ms: float) -> None:
        # A ring of the newest: a camera runs for a year.
        if len(self._latency_ms) < 10_000:
            self._latency_ms.append(latency_ms)
        else:
            self._latency_ms[self._seen % 10_000] = latency_ms
        self._seen += 1

    def summary(self, seen: Mapping[str, tuple[int, Mapping[str, int]]]) -> dict[str, Any]:
        """What happened, as JSON types; percentiles over the newest 10,000 frames.

        Args:
            seen: frames that were offered, and those that were dropped by reason, of every camera.
        """
        drops: Counter[str] = Counter()
        for _, of_camera in seen.values():
            drops.update(of_camera)
        p50, p95, p99 = np.percentile(self._latency_ms or [0.0], [50, 95, 99])
        told = {
            "frames": sum(offered for offered, _ in seen.values()),
            "dropped": sum(drops.values()),
            "drops": dict(drops),
            "outcomes": self.outcomes,
            "cloud": self.cloud,
            "edge": self.outcomes - self.cloud,
            "degraded": dict(self.degraded),
            "marked": dict(self.marked),
            "late": self.late,
            "drifted": self.drifted,
            "latency_ms": {"p50": round(float(p50), 2), "p95": round(float(p95), 2), "p99": round(float(p99), 2)},
        }
        if len(seen) > 1:
            told["cameras"] = {
                camera: {"frames": offered, "dropped": sum(dropped.values()), "outcomes": self.cameras[camera]}
                for camera, (offered, dropped) in seen.items()
            }
        return told
