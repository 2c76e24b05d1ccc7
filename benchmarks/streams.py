"""Many cameras on one device: python -m benchmarks.streams [--quick] [--json FILE]

Frames a second of the edge loop with 1, 4 and 16 cameras, whose frames all run through the whole network here, over a
bare loop of the same onnxruntime calls; each frame alone, and as many together as the loop finds to pay at its start.
Then how evenly a device that is too slow serves them, and the memory of a process.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.edge_step import make_loop, memory_mb
from benchmarks.harness import arguments, at_least, at_most, paired, report
from benchmarks.models import mobilenet_bundle
from edge_runtime import profiling
from edge_runtime.frames.outcomes import Outcome
from edge_runtime.frames.together import best_size
from edge_runtime.sources.base import Frame
from partitioner.build import Wish, partition
from partitioner.manifest import Identity, NetworkFile
from partitioner.sources import read_network
from partitioner.verify import Trial
from split_core import bundle as bundles
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.bundle import Bundle
from split_core.config import load
from split_core.policy import CodecSection
from split_core.telemetry.decisions import DecisionLog, FrameRecord
from split_core.telemetry.metrics import EdgeMetrics

DEMO = Path(__file__).parent.parent / "configs" / "demo"
CAMERAS = (1, 4, 16)


class Cameras:
    """So many cameras, each with one frame waiting whenever `show` was called."""

    def __init__(self, bundle: Bundle, count: int, together: int, log: DecisionLog) -> None:
        shape = bundle.manifest.preprocess.image_shape
        images = [np.random.default_rng(n).integers(0, 256, shape, np.uint8) for n in range(20)]
        self.images = images[:count]
        profile = profiling.profile(bundle, OnnxRuntimeBackend(), images, name="bench", codecs=CodecSection())
        self.metrics, self.served = EdgeMetrics(), Counter[str]()

        def count_it(outcome: Outcome, record: FrameRecord) -> None:
            self.metrics.answered(outcome.camera, outcome.where, outcome.degraded, outcome.latency_ms)
            self.served[outcome.camera] += 1
            log.write(record)

        self.loop, self.streams = make_loop(
            bundle, profile, OnnxRuntimeBackend(), [count_it], policy="edge_only", cameras=count
        )
        self.loop.together = together
        self.prefix = self.streams[0].deployment.prefix
        self._seq = 0

    def show(self) -> None:
        """A new frame of every camera that has none."""
        self._seq += 1
        for stream, image in zip(self.streams, self.images, strict=True):
            if stream.slot.empty:
                stream.slot.put(Frame(self._seq, time.monotonic(), image))

    def ours(self) -> None:
        """One frame of each camera, answered."""
        self.show()
        while self.loop.step():
            pass

    def bare(self) -> None:
        """The same engine calls for the same frames."""
        for image in self.images:
            tensors = self.prefix.intake.tensors(image)
            for segment in self.prefix.segments:
                tensors = segment.run(tensors)


def throughput(bundle: Bundle, folder: Path, quick: bool) -> dict[str, Any]:
    """Per number of cameras: frames a second and the ratio of times, alone and together."""
    log, figures = DecisionLog(folder / "decisions.jsonl", {}), {}
    for count in CAMERAS:
        alone = Cameras(bundle, count, 1, log)
        size = best_size(alone.prefix, count)
        figures[str(count)] = {"alone": rates(alone, quick), "together": size}
        if size > 1:
            figures[str(count)]["so_many_together"] = rates(Cameras(bundle, count, size, log), quick)
    log.close()
    return figures


def rates(cameras: Cameras, quick: bool) -> dict[str, float]:
    """Frames a second of both, and how many times as many ours are."""
    measured = paired(cameras.ours, cameras.bare, rounds=15 if quick else 100, inner=1)
    count = len(cameras.streams)
    ours, bare = (count * 1e6 / measured[who]["median"] for who in ("ours", "peer"))
    return {"over_bare": 1.0 / measured["ratio"], "frames_per_s": ours, "bare_frames_per_s": bare}


def evenness(bundle: Bundle, folder: Path) -> float:
    """When all always have a frame: those of the camera that was served least, over those of the one served most."""
    log = DecisionLog(folder / "fair.jsonl", {})
    cameras = Cameras(bundle, 16, 1, log)
    for _ in range(160):
        cameras.show()
        cameras.loop.step()
    log.close()
    served = [cameras.served[stream.camera] for stream in cameras.streams]
    return min(served) / max(served)


def demo_bundle(folder: Path) -> Bundle:
    """The six-exit network of the demo, a quarter of a millisecond a frame: where the loop's own time shows."""
    network = read_network(str(DEMO / "network.onnx"))
    said = load(DEMO / "network.yaml", NetworkFile)
    identity = Identity(name="fashion", labels=said.labels, preprocess=said.settled(DEMO))
    made = partition(network, folder, identity=identity, wish=Wish(), trial=Trial(), clock=time.time)
    return bundles.load(made)


def main() -> None:
    options = arguments(__doc__)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        bundle_dir = mobilenet_bundle(folder)
        mobilenet, demo = bundles.load(mobilenet_bundle(folder, side=320)), demo_bundle(folder)
        figures: dict[str, Any] = {
            "mobilenet_v2": throughput(mobilenet, folder, options.quick),
            "demo": throughput(demo, folder, options.quick),
            "least_over_most_served": evenness(demo, folder),
            "memory": {str(count): memory_mb(bundle_dir, folder, count) for count in CAMERAS},
        }
    over_bare = {n: figures["mobilenet_v2"][str(n)]["alone"]["over_bare"] for n in CAMERAS}
    against = "a bare loop of the same engine calls"
    goals = [at_least(f"frames/s, {n} cameras, MobileNetV2", over_bare[n], "x", 0.95, against) for n in CAMERAS]
    goals.append(at_least("least over most served of 16", figures["least_over_most_served"], "x", 0.95, "a fair share"))
    peak_mb = figures["memory"]["16"]["peak_mb"]
    goals.append(at_most("edge process, 16 cameras", peak_mb, "MB", 250.0, "one camera may have 200"))
    report("streams", figures, goals, options)


if __name__ == "__main__":
    main()
