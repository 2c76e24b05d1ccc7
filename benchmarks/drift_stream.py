"""A calibrated policy and streams of pictures that it answers, watched as a camera watches.  For `benchmarks.drift`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.calibration import demo_traces
from benchmarks.drift_damage import Images
from split_core.drift.monitor import DriftMonitor, Finding
from split_core.policy import PolicyFile
from split_core.preprocess import Preprocess
from split_core.tensors import FloatArray

PROMISE, SLACK = 0.9, 0.02
FEWEST, WINDOW = 50, 200  # early answers
INTAKE = Preprocess(height=28, width=28, colour="gray")


@dataclass(frozen=True)
class Site:
    """A calibrated policy and the pictures that it was not calibrated on."""

    policy: PolicyFile
    images: Images
    labels: NDArray[np.int64]

    @property
    def thresholds(self) -> FloatArray:
        """(K,) of all exits; the last one always answers."""
        asked = self.policy.bandit.params["per_exit"]
        return np.array([*(np.inf if one is None else one for one in asked), 0.0])

    def monitor(self, *, inputs: bool = True) -> DriftMonitor:
        """As a camera makes it; `inputs` False watches confidences only."""
        evidence = self.policy.evidence
        return DriftMonitor(
            evidence.confidence_histograms,
            reached=evidence.reached_histograms,
            threshold=float(self.thresholds[0]),
            inputs=evidence.input_histograms if inputs else {},
        )

    def stream(self, images: Images) -> Stream:
        """What the policy says of pictures in the place of `images`."""
        traces = demo_traces(images, self.labels).read_with(self.policy.reader())
        exit = (traces.confidence >= self.thresholds).argmax(axis=1)
        right = np.take_along_axis(traces.prediction, exit[:, None], 1)[:, 0] == traces.labels
        looks = np.array([INTAKE.measures(image[:, :, None]) for image in images])
        return Stream(traces.confidence, exit, exit < traces.exits - 1, right, looks)


@dataclass(frozen=True)
class Stream:
    """Frames as they come.

    Attributes:
        confidence: (N, K).
        exit: (N,) which of K answered, from 0.
        early, right: (N,) whether early, and whether rightly.
        looks: (N,) `Intake.measures` of each.
    """

    confidence: FloatArray
    exit: NDArray[np.int64]
    early: NDArray[np.bool_]
    right: NDArray[np.bool_]
    looks: NDArray[np.object_]

    @staticmethod
    def joined(parts: Sequence[Stream]) -> Stream:
        """One after the other."""
        names = [field.name for field in fields(Stream)]
        return Stream(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def frames(self, rows: Any) -> Stream:
        return Stream(*(getattr(self, field.name)[rows] for field in fields(self)))

    def early_accuracy(self) -> float:
        return float(self.right[self.early].mean())

    def seen(self, monitor: DriftMonitor) -> Iterator[list[Finding]]:
        """Show every frame to the monitor; what changed at each."""
        rows = zip(self.confidence.tolist(), self.exit.tolist(), self.looks, strict=True)
        for row, exit, looks in rows:
            found = monitor.see_input(looks) if monitor.sees_inputs else []
            yield found + monitor.see(1, row[0]) + monitor.see_on(row[1 : exit + 1])

    def alert(self, monitor: DriftMonitor) -> tuple[int | None, str]:
        """After how many frames the first detector fires, and which."""
        fired = next((frame for frame, _ in enumerate(self.seen(monitor), 1) if monitor.void), None)
        return fired, f"{monitor.cause.detector} {monitor.cause.exit}" if monitor.cause else ""

    def firing(self, monitor: DriftMonitor) -> dict[str, int]:
        """After how many frames each finding fires first."""
        fired: dict[str, int] = {}
        for frame, found in enumerate(self.seen(monitor), 1):
            for finding in found:
                if finding.drift.fired:
                    fired.setdefault(f"{finding.detector} {finding.exit}", frame)
        return fired

    def mean_falls(self) -> int | None:
        """The frame from which on the mean over all early answers so far stays two points under the promise."""
        count = np.cumsum(self.early)
        mean = np.cumsum(self.right & self.early) / np.maximum(count, 1)
        return last_run((count >= FEWEST) & (mean < PROMISE - SLACK))

    def window_falls(self) -> int | None:
        """The same for the newest `WINDOW` early answers; the first time counts."""
        right = self.right[self.early].astype(float)
        sums = np.convolve(right, np.ones(WINDOW), "valid") / WINDOW
        low = np.flatnonzero(sums < PROMISE - SLACK)
        return int(np.flatnonzero(self.early)[low[0] + WINDOW - 1]) + 1 if low.size else None


def last_run(low: NDArray[np.bool_]) -> int | None:
    """The frame, from 1, from which on all are low."""
    if not low.size or not low[-1]:
        return None
    high = np.flatnonzero(~low)
    return int(high[-1]) + 2 if high.size else 1
