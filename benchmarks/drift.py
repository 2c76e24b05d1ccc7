"""Does drift detection come before the fall?  python -m benchmarks.drift [--quick] [--json FILE]

The demo's network on Fashion-MNIST under `offramp calibrate --accuracy 0.9` (PCEE-WS) of 5,000 pictures; its rule
answers streams of the others, and a `DriftMonitor` as a camera has it watches confidences and what pictures are like.

1. every damage at every severity, from the first frame on and after 1,000 clean frames: accuracy of early answers
   against the promised 0.9; after how many frames of it an alert comes (and came, if confidences alone were watched),
   and after how many the mean accuracy of the early answers so far has fallen for good by two points under the promise;
2. those that fall from the first frame on, in other orders of the pictures;
3. streams whose severity rises by a step every so many frames: the frame of the alert, and the frame from which on a
   window of 200 early answers is two points under the promise;
4. clean streams in other orders: alerts;
5. clean films, in which a picture stays for a while: alerts, when every so many-th frame is watched;
6. what watching costs per frame.
"""

from __future__ import annotations

import timeit
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.calibration import demo_traces
from benchmarks.drift_damage import DAMAGES
from benchmarks.drift_stream import INTAKE, PROMISE, SLACK, Site, Stream
from benchmarks.harness import Goal, arguments, at_least, at_most, report
from partitioner.calibrate.codecs import CodecTable
from partitioner.calibrate.fit import Wishes, fit
from partitioner.calibrate.targets import Target
from split_core.appearance import appearance
from split_core.drift.histogram import input_histograms
from split_core.policy import CodecSection
from split_core.resources import config_path

CALIBRATED = 5000
CLEAN = 1000  # frames before the damage
STEP = 800  # frames of one severity in a worsening stream
ORDERS = 40
LOST = 0.015  # of the accuracy of all answers
SCENES, BETWEEN, WATCHED = (10, 50, 250), (0.0, 0.5, 1.0, 4.0), 5000
AT_ONCE = 30  # frames: what falls within them is below the promise before any test can tell chance from change
SIZES = ((28, 28, 1), (32, 32, 3), (224, 224, 3), (640, 640, 3))


def main() -> None:
    options = arguments(__doc__)
    orders = ORDERS // 4 if options.quick else ORDERS
    site = calibrated()
    clean = site.stream(site.images)
    levels = {kind: [clean, *damaged(site, kind)] for kind in DAMAGES}
    steady: dict[str, Any] = {"none": row(clean, site)}
    for kind, streams in levels.items():
        for name, stream in zip(DAMAGES[kind], streams[1:], strict=True):
            steady[f"{kind} {name}"] = {**row(stream, site), "after_clean": sudden(clean, stream, site)}
            if steady[f"{kind} {name}"]["mean_falls"] is not None:
                steady[f"{kind} {name}"]["orders"] = in_orders(stream, site, orders)
    worsening = {kind: worse(streams, site) for kind, streams in levels.items()}
    alerts = [clean.frames(order).alert(site.monitor())[1] for order in shuffled(len(site.labels), orders)]
    figures = {
        "thresholds": [round(float(one), 3) for one in site.thresholds],
        "steady": steady,
        "worsening": worsening,
        "clean_orders": {"streams": orders, "frames": len(site.labels), "alerts": [name for name in alerts if name]},
        "films": films(clean, site, 3 if options.quick else 12),
        "cost_us": cost(clean, site),
    }
    Console(stderr=True, width=120).print(table(steady))
    report("drift", figures, goals(steady, worsening, figures["clean_orders"]), options)


def calibrated() -> Site:
    """The policy of the first pictures; the rest for the streams."""
    with np.load(config_path("demo/fashion-mnist-test.npz")) as data:
        images, labels = data["images"].reshape(-1, 28, 28), data["labels"].astype(np.int64)
    traces = replace(demo_traces(images[:CALIBRATED], labels[:CALIBRATED]), bundle_id="0" * 64)
    wishes = Wishes(asked=Target(accuracy=PROMISE))
    made = fit(traces, wishes, codecs=CodecSection(), table=CodecTable(0, 0.0, ()), seed=0).policy
    looks = input_histograms(INTAKE, list(images[:CALIBRATED, :, :, None]))
    evidence = made.evidence.model_copy(update={"input_histograms": looks})
    return Site(made.model_copy(update={"evidence": evidence}), images[CALIBRATED:], labels[CALIBRATED:])


def damaged(site: Site, kind: str) -> Iterator[Stream]:
    """One stream per severity."""
    for damage in DAMAGES[kind].values():
        yield site.stream(damage(site.images))


def row(stream: Stream, site: Site) -> dict[str, Any]:
    """One damage at one severity, from the first frame on."""
    alert, what = stream.alert(site.monitor())
    return {
        "accuracy": float(stream.right.mean()),
        "early_accuracy": stream.early_accuracy(),
        "early_share": float(stream.early.mean()),
        "alert": alert,
        "by": what,
        "alert_by_confidences": stream.alert(site.monitor(inputs=False))[0],
        "mean_falls": stream.mean_falls(),
        "detectors": stream.firing(site.monitor()),
    }


def sudden(clean: Stream, stream: Stream, site: Site) -> dict[str, Any]:
    """The same damage after so many clean frames, counted from its beginning."""
    whole = Stream.joined([clean.frames(slice(CLEAN)), stream.frames(slice(CLEAN, None))])
    found = {
        "alert": whole.alert(site.monitor())[0],
        "alert_by_confidences": whole.alert(site.monitor(inputs=False))[0],
        "mean_falls": whole.mean_falls(),
    }
    return {name: frame and frame - CLEAN for name, frame in found.items()}


def in_orders(stream: Stream, site: Site, orders: int) -> dict[str, Any]:
    """The damage from the first frame on, in so many orders: alerts and falls, order by order."""
    streams = [stream.frames(order) for order in shuffled(len(site.labels), orders)]
    return {
        "alerts": [one.alert(site.monitor())[0] for one in streams],
        "alerts_by_confidences": [one.alert(site.monitor(inputs=False))[0] for one in streams],
        "falls": [one.mean_falls() for one in streams],
    }


def worse(streams: list[Stream], site: Site) -> dict[str, Any]:
    """`STEP` frames of every severity, one after the other."""
    parts = [stream.frames(slice(n * STEP, (n + 1) * STEP)) for n, stream in enumerate(streams)]
    whole = Stream.joined(parts)
    alert, what = whole.alert(site.monitor())
    return {
        "early_accuracy": [round(part.early_accuracy(), 3) for part in parts],
        "accuracy": [round(float(part.right.mean()), 3) for part in parts],
        "alert": alert,
        "by": what,
        "alert_by_confidences": whole.alert(site.monitor(inputs=False))[0],
        "window_falls": whole.window_falls(),
        "mean_falls": whole.mean_falls(),
    }


def shuffled(frames: int, orders: int) -> Iterator[NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    return (rng.permutation(frames) for _ in range(orders))


def films(clean: Stream, site: Site, count: int) -> dict[str, str]:
    """Alerts in clean films: a picture stays for `scene` frames in the mean, and one in so many scenes is watched."""
    rng, found = np.random.default_rng(0), dict[str, str]()
    for scene in SCENES:
        for scenes in BETWEEN:
            alerts = 0
            for _ in range(count):
                order = rng.permutation(len(site.labels))
                frames = np.repeat(order, rng.geometric(1.0 / scene, size=len(order)))
                watched = frames[:: max(1, round(scenes * scene))][:WATCHED]
                alerts += clean.frames(watched).alert(site.monitor())[0] is not None
            every = f"one in {scenes:g} scenes" if scenes else "every frame"
            found[f"scenes of {scene} frames, {every} watched"] = f"{alerts} of {count}"
    return found


def cost(clean: Stream, site: Site) -> dict[str, float]:
    """Microseconds per frame: looking at a picture, and everything that a monitor does with what was seen."""
    rng = np.random.default_rng(0)
    pictures = {f"looks of {h}x{w}x{c}": rng.integers(0, 256, (h, w, c), np.uint8) for h, w, c in SIZES}
    found = {name: best_us(lambda picture=picture: appearance(picture), 200) for name, picture in pictures.items()}
    for name, inputs in (("monitor, confidences", False), ("monitor, with inputs", True)):
        found[name] = best_us(lambda inputs=inputs: list(clean.seen(site.monitor(inputs=inputs))), 1) / len(clean.exit)
    return {name: round(us, 1) for name, us in found.items()}


def best_us(call: Any, number: int) -> float:
    return min(timeit.repeat(call, number=number, repeat=5)) / number * 1e6


def table(steady: dict[str, Any]) -> Table:
    shown = Table(
        "damage", title=f"frames of damage until the alert and until early answers fall below {PROMISE - SLACK}"
    )
    for column in ("all", "early", "alert", "by confidences", "falls", "after clean: alert", "by confidences", "falls"):
        shown.add_column(column, justify="right")
    for name, one in steady.items():
        accuracies = (f"{one['accuracy']:.1%}", f"{one['early_accuracy']:.1%}")
        frames = [part.get(key) for part in (one, one.get("after_clean", {})) for key in KEYS]
        shown.add_row(name, *accuracies, *("never" if frame is None else str(frame) for frame in frames))
    return shown


KEYS = ("alert", "alert_by_confidences", "mean_falls")


def before(alert: int | None, fall: int | None) -> bool:
    return fall is None or (alert is not None and alert <= fall)


def goals(steady: dict[str, Any], worsening: dict[str, Any], clean: dict[str, Any]) -> list[Goal]:
    damages = [one for name, one in steady.items() if name != "none"]
    fallen = [one for one in damages if one["mean_falls"] is not None]
    at_once = [before(one["alert"], one["mean_falls"]) for one in fallen]
    pairs = [pair for one in fallen for pair in zip(one["orders"]["alerts"], one["orders"]["falls"], strict=True)]
    in_other_orders = [before(alert, fall) for alert, fall in pairs if fall is None or fall > AT_ONCE]
    later = [before(one["after_clean"]["alert"], one["after_clean"]["mean_falls"]) for one in fallen]
    least = steady["none"]["accuracy"] - LOST
    seen = [one["alert"] is not None for one in steady.values() if one["accuracy"] < least]
    gradual = [before(one["alert"], one["window_falls"]) for one in worsening.values()]
    return [
        at_least("from the first frame: alerts before the mean fell", share(at_once), "share", 1.0, "all"),
        at_least("the same in other orders", share(in_other_orders), "share", 1.0, f"all {len(in_other_orders)}"),
        at_least("after 1,000 clean frames: alerts before the mean fell", share(later), "share", 1.0, "all"),
        at_least("worsening streams with an alert before the window fell", share(gradual), "share", 1.0, "all"),
        at_least("damages that cost 1.5 points of all answers, noticed", share(seen), "share", 1.0, "all"),
        at_most("clean orders with an alert", len(clean["alerts"]), "orders", 0.0, f"of {clean['streams']}"),
    ]


def share(found: list[bool]) -> float:
    return sum(found) / len(found) if found else 1.0


if __name__ == "__main__":
    main()
