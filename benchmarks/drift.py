"""Does drift detection come before the fall?  python -m benchmarks.drift [--quick] [--json FILE]

The demo's network on Fashion-MNIST under `offramp calibrate --accuracy 0.9` (PCEE-WS) of 5,000 pictures; its rule
answers streams of the others, and a `DriftMonitor` as a camera has it watches.

1. every damage at every severity, from the first frame on and after 1,000 clean frames: accuracy of early answers
   against the promised 0.9; after how many frames of it an alert comes, and after how many the mean accuracy of the
   early answers so far has fallen for good by two points under the promise;
2. streams whose severity rises by a step every so many frames: the frame of the alert, and the frame from which on a
   window of 200 early answers is two points under the promise;
3. clean streams in other orders: alerts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.calibration import demo_traces
from benchmarks.drift_damage import DAMAGES, Images
from benchmarks.harness import Goal, arguments, at_least, at_most, report
from partitioner.calibrate.codecs import CodecTable
from partitioner.calibrate.fit import Wishes, fit
from partitioner.calibrate.targets import Target
from split_core.drift.monitor import DriftMonitor
from split_core.policy import CodecSection, PolicyFile
from split_core.resources import config_path
from split_core.tensors import FloatArray
from split_core.traces import Traces

PROMISE, SLACK = 0.9, 0.02
CALIBRATED = 5000
CLEAN = 1000  # frames before the damage
STEP = 800  # frames of one severity in a worsening stream
FEWEST, WINDOW = 50, 200  # early answers
ORDERS = 40
LOST = 0.015  # of the accuracy of all answers


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

    def monitor(self, *, behind: bool = True) -> DriftMonitor:
        """As a camera makes it; `behind` False watches first readings only."""
        evidence, first = self.policy.evidence, self.thresholds[0]
        reached = evidence.reached_histograms if behind else ()
        return DriftMonitor(evidence.confidence_histograms, reached=reached, threshold=float(first))

    def read(self, images: Images) -> Traces:
        """What the policy's reader says of pictures in the place of `images`."""
        return demo_traces(images, self.labels).read_with(self.policy.reader())


@dataclass(frozen=True)
class Stream:
    """Frames as they come: (N, K) confidences, and which of K exits answered, whether early and whether rightly."""

    confidence: FloatArray
    exit: NDArray[np.int64]
    early: NDArray[np.bool_]
    right: NDArray[np.bool_]

    @staticmethod
    def of(traces: Traces, thresholds: FloatArray) -> Stream:
        exit = (traces.confidence >= thresholds).argmax(axis=1)
        right = np.take_along_axis(traces.prediction, exit[:, None], 1)[:, 0] == traces.labels
        return Stream(traces.confidence, exit, exit < traces.exits - 1, right)

    def frames(self, rows: Any) -> Stream:
        return Stream(self.confidence[rows], self.exit[rows], self.early[rows], self.right[rows])

    def early_accuracy(self) -> float:
        return float(self.right[self.early].mean())

    def alert(self, monitor: DriftMonitor) -> tuple[int | None, str]:
        """After how many frames the first detector fires, and which."""
        for frame, (row, exit) in enumerate(zip(self.confidence.tolist(), self.exit.tolist(), strict=True), 1):
            found = monitor.see(1, row[0]) + monitor.see_on(row[1 : exit + 1])
            for finding in found:
                if finding.drift.fired:
                    return frame, f"{finding.detector} {finding.exit}"
        return None, ""

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


def main() -> None:
    options = arguments(__doc__)
    site = calibrated()
    clean = Stream.of(site.read(site.images), site.thresholds)
    levels = {kind: [clean, *damaged(site, kind)] for kind in DAMAGES}
    steady: dict[str, Any] = {"none": row(clean, site)}
    for kind, streams in levels.items():
        for name, stream in zip(DAMAGES[kind], streams[1:], strict=True):
            steady[f"{kind} {name}"] = {**row(stream, site), "after_clean": sudden(clean, stream, site)}
    worsening = {kind: worse(streams, site) for kind, streams in levels.items()}
    orders = ORDERS // 4 if options.quick else ORDERS
    false = [clean.frames(order).alert(site.monitor())[1] for order in shuffled(len(site.labels), orders)]
    figures = {
        "thresholds": [round(float(one), 3) for one in site.thresholds],
        "steady": steady,
        "worsening": worsening,
        "clean_orders": {"streams": orders, "frames": len(site.labels), "alerts": [name for name in false if name]},
    }
    report("drift", figures, goals(steady, worsening, figures["clean_orders"]), options)


def calibrated() -> Site:
    """The policy of the first pictures; the rest for the streams."""
    with np.load(config_path("demo/fashion-mnist-test.npz")) as data:
        images, labels = data["images"].reshape(-1, 28, 28), data["labels"].astype(np.int64)
    traces = replace(demo_traces(images[:CALIBRATED], labels[:CALIBRATED]), bundle_id="0" * 64)
    wishes = Wishes(asked=Target(accuracy=PROMISE))
    made = fit(traces, wishes, codecs=CodecSection(), table=CodecTable(0, 0.0, ()), seed=0)
    return Site(made.policy, images[CALIBRATED:], labels[CALIBRATED:])


def damaged(site: Site, kind: str) -> Iterator[Stream]:
    """One stream per severity."""
    for damage in DAMAGES[kind].values():
        yield Stream.of(site.read(damage(site.images)), site.thresholds)


def row(stream: Stream, site: Site) -> dict[str, Any]:
    """One damage at one severity, from the first frame on."""
    alert, what = stream.alert(site.monitor())
    return {
        "accuracy": float(stream.right.mean()),
        "early_accuracy": stream.early_accuracy(),
        "early_share": float(stream.early.mean()),
        "alert": alert,
        "by": what,
        "alert_of_first_readings": stream.alert(site.monitor(behind=False))[0],
        "mean_falls": stream.mean_falls(),
    }


def sudden(clean: Stream, stream: Stream, site: Site) -> dict[str, Any]:
    """The same damage after so many clean frames, counted from its beginning."""
    whole = joined([clean.frames(slice(CLEAN)), stream.frames(slice(CLEAN, None))])
    alert, fall = whole.alert(site.monitor())[0], whole.mean_falls()
    return {"alert": alert and alert - CLEAN, "mean_falls": fall and fall - CLEAN}


def joined(parts: list[Stream]) -> Stream:
    """One after the other."""
    fields = ("confidence", "exit", "early", "right")
    return Stream(*(np.concatenate([getattr(part, name) for part in parts]) for name in fields))


def worse(streams: list[Stream], site: Site) -> dict[str, Any]:
    """`STEP` frames of every severity, one after the other."""
    parts = [stream.frames(slice(n * STEP, (n + 1) * STEP)) for n, stream in enumerate(streams)]
    whole = joined(parts)
    alert, what = whole.alert(site.monitor())
    return {
        "early_accuracy": [round(part.early_accuracy(), 3) for part in parts],
        "accuracy": [round(float(part.right.mean()), 3) for part in parts],
        "alert": alert,
        "by": what,
        "window_falls": whole.window_falls(),
        "mean_falls": whole.mean_falls(),
    }


def shuffled(frames: int, orders: int) -> Iterator[NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    return (rng.permutation(frames) for _ in range(orders))


def before(alert: int | None, fall: int | None) -> bool:
    return fall is None or (alert is not None and alert <= fall)


def goals(steady: dict[str, Any], worsening: dict[str, Any], clean: dict[str, Any]) -> list[Goal]:
    damages = [one for name, one in steady.items() if name != "none"]
    fallen = [one for one in damages if one["mean_falls"] is not None]
    at_once = [before(one["alert"], one["mean_falls"]) for one in fallen]
    later = [before(one["after_clean"]["alert"], one["after_clean"]["mean_falls"]) for one in fallen]
    least = steady["none"]["accuracy"] - LOST
    seen = [one["alert"] is not None for one in steady.values() if one["accuracy"] < least]
    gradual = [before(one["alert"], one["window_falls"]) for one in worsening.values()]
    return [
        at_least("from the first frame: alerts before the mean fell", share(at_once), "share", 1.0, "all"),
        at_least("after 1,000 clean frames: alerts before the mean fell", share(later), "share", 1.0, "all"),
        at_least("worsening streams with an alert before the window fell", share(gradual), "share", 1.0, "all"),
        at_least("damages that cost 1.5 points of all answers, noticed", share(seen), "share", 1.0, "all"),
        at_most("clean orders with an alert", len(clean["alerts"]), "orders", 0.0, f"of {clean['streams']}"),
    ]


def share(found: list[bool]) -> float:
    return sum(found) / len(found) if found else 1.0


if __name__ == "__main__":
    main()
