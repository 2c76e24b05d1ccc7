"""Another network while a camera runs: python -m benchmarks.hotswap [--quick] [--json FILE]

A camera of ten frames a second answers all of them here by a MobileNetV2.  A release with another bundle of it is put
on trial, loaded and compared beside, put in force, and kept; then one whose classes have other names, which is refused.
What that costs the frames: latencies of each part beside those of the same camera before anything came.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Goal, arguments, at_most, report, statistics
from benchmarks.models import CLASSES, MobileNetV2
from edge_runtime import profiling
from edge_runtime.app import EdgeApp
from edge_runtime.config import EdgeConfig
from edge_runtime.frames.outcomes import Outcome
from partitioner.build import Wish, partition
from partitioner.manifest import Identity
from partitioner.sources import read_network
from partitioner.verify import Trial
from split_core import bundle as bundles
from split_core import policy as policies
from split_core import profiles
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.config import parsed
from split_core.policy import BanditSection, CodecSection, ExitSection, PolicyFile
from split_core.preprocess import Preprocess
from split_core.release import Held
from split_core.release_store import ReleaseStore

FPS, DEADLINE_MS, MARGIN_MS, SIDE = 10, 300.0, 100.0, 224
STAGES = {"loading": "trial", "comparing": "trial", "waiting": "trial", "probation": "probation"}


def release(folder: Path, store: ReleaseStore, model: Path, version: str, labels: tuple[str, ...]) -> str:
    """A bundle of the network, with a policy that runs the whole of it here and a profile; as the candidate."""
    looks = Preprocess(height=SIDE, width=SIDE, colour="rgb", mean=(0.5,), std=(0.5,))
    identity = Identity(name="mobilenet_v2", version=version, labels=labels, preprocess=looks)
    network = read_network(str(model))
    made = partition(network, folder / "bundles", identity=identity, wish=Wish(), trial=Trial(), clock=time.time)
    bundle = bundles.load(made)
    exits, images = (ExitSection(),) * bundle.manifest.exits, pictures(20)
    policy = PolicyFile(bundle_id=bundle.id, exits=exits, bandit=BanditSection(name="edge_only"))
    policies.save(policy, folder / "policy.yaml")
    profile = profiling.profile(bundle, OnnxRuntimeBackend(), list(images), name="bench", codecs=CodecSection())
    profiles.save(profile, folder / "profile.yaml")
    return store.add(Held(made, folder / "policy.yaml", folder / "profile.yaml"))


def pictures(count: int) -> np.ndarray:
    """(count, side, side, 3) uint8 of noise."""
    return np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)


class Camera:
    """Runs, and is told what to do when so many frames have come or a trial has ended."""

    def __init__(self, folder: Path, store: ReleaseStore, probation_s: float) -> None:
        np.savez(folder / "images.npz", images=pictures(50))
        releases = {"store": str(store.folder), "unsigned": True, "probation_s": probation_s}
        source = {"kind": "array", "fps": FPS, "options": {"path": str(folder / "images.npz"), "loop": True}}
        times = {"deadline_ms": DEADLINE_MS, "margin_ms": MARGIN_MS}
        self.app = EdgeApp(parsed({"releases": releases, "source": source, **times}, EdgeConfig, "bench"))
        self.outcomes: list[tuple[str, Outcome]] = []
        self._store = store

    def run(self, steps: list[tuple[Callable[[Camera], bool], Callable[[], Any]]]) -> None:
        """Each step when the one before was done."""

        def follow(outcome: Outcome, _: object) -> None:
            self.outcomes.append((self.part(), outcome))
            if steps and steps[0][0](self):
                steps.pop(0)[1]()
            if not steps:
                self.app.stop()

        self.app.loop._on_outcome = (*self.app.loop._on_outcome, follow)
        self.app.run()

    def part(self) -> str:
        """What was going on when a frame ended; loading is seen by what is on trial in the store."""
        trial = self.app.releases.trial
        if trial is None and self.loading:
            return "trial"
        return STAGES[trial.stage] if trial else ("after" if self.results["kept"] else "before")

    def count(self, part: str) -> int:
        """Frames of a part so far."""
        return sum(told == part for told, _ in self.outcomes)

    @property
    def loading(self) -> bool:
        return bool(self._store.pointer("trial"))

    @property
    def results(self) -> dict[str, int]:
        return self.app.releases.results

    def figures(self) -> dict[str, Any]:
        """Latencies of each part, and what must not happen."""
        parts = ("before", "trial", "probation", "after")
        latencies = {part: [one.latency_ms for told, one in self.outcomes if told == part] for part in parts}
        slot = self.app.cameras["camera"].feed.slot
        return {
            "latency": {part: {**statistics(ms, "ms"), "max": max(ms)} for part, ms in latencies.items()},
            "late": {part: sum(one.late for told, one in self.outcomes if told == part) for part in parts},
            "degraded": sum(bool(one.degraded) for _, one in self.outcomes),
            "dropped": slot.dropped,
            "without_outcome": slot.offered - slot.dropped - len(self.outcomes),
            "results": dict(self.results),
        }


def main() -> None:
    options = arguments(__doc__)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        store, model = ReleaseStore(folder / "releases"), folder / "mobilenet.onnx"
        model.write_bytes(MobileNetV2(SIDE).model().SerializeToString())
        labels = tuple(map(str, range(CLASSES)))
        release(folder, store, model, "1", labels)
        store.promote("active")
        second = release(folder, store, model, "2", labels)
        third = release(folder, store, model, "3", labels[::-1])
        seconds = 5 if options.quick else 30
        camera = Camera(folder, store, probation_s=seconds)
        camera.run(
            [
                (lambda one: len(one.outcomes) >= FPS * seconds, lambda: store.promote("trial", second)),
                (lambda one: one.count("after") >= FPS * seconds, lambda: store.promote("trial", third)),
                (lambda one: one.results["refused"] > 0, lambda: None),
            ]
        )
        figures = camera.figures()
    report("hotswap", figures, goals_of(figures), options)


def goals_of(figures: dict[str, Any]) -> list[Goal]:
    """No frame lost or late."""
    against = "the same camera before"
    late = figures["late"]["trial"] + figures["late"]["probation"]
    before, trial = (figures["latency"][part]["p99"] for part in ("before", "trial"))
    return [
        at_most("frames without outcome", figures["without_outcome"], "frames", 0.0, "the contract"),
        at_most("frames late on trial and on probation", late, "frames", 0.0, "the contract"),
        at_most("latency p99 while a release is loaded and compared", trial / before, "x", 2.0, against),
    ]


if __name__ == "__main__":
    main()
