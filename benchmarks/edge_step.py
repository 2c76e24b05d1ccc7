"""What the edge loop adds to a frame: python -m benchmarks.edge_step [--quick] [--json FILE]

1. a whole step with inference taken out: choose, read, answer, learn, log, metrics;
2. a frame answered locally, over the bare onnxruntime calls of the same segments and heads, on a
   MobileNetV2 with random weights, large enough to take about 10 ms on one thread (320x320 here);
3. resident memory of a camera's process that runs that network.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bandits.build import make_policy
from benchmarks.harness import arguments, at_most, paired, report, statistics
from benchmarks.models import mobilenet_bundle
from edge_runtime import profiling
from edge_runtime.frames.budget import TimeBudget, Timing
from edge_runtime.frames.costs import CostBook, LinkModel
from edge_runtime.frames.deployment import Deployment
from edge_runtime.frames.loop import EdgeLoop, OnOutcome
from edge_runtime.frames.prefix import Prefix
from edge_runtime.frames.raw import Probe
from edge_runtime.frames.stream import Stream
from edge_runtime.frames.ticket import Rules
from edge_runtime.link.breaker import Breaker
from edge_runtime.link.ledger import Ledger
from edge_runtime.link.offload import Offloader
from edge_runtime.link.worker_link import WorkerLink
from edge_runtime.sources.base import Frame
from edge_runtime.sources.slot import NewestFrame
from split_core import bundle as bundles
from split_core import policy as policies
from split_core import profiles, wire
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.bundle import Bundle
from split_core.codecs import CODECS
from split_core.drift.monitor import DriftMonitor
from split_core.policy import DEFAULT_BANDIT, CodecSection, ExitSection, PolicyFile
from split_core.profiles import HwProfile
from split_core.telemetry.decisions import DecisionLog
from split_core.telemetry.metrics import EdgeMetrics
from split_core.tensors import Array
from split_core.transport.memory import MemoryTransport


class Instant:
    """A backend whose sessions answer at once with zeros of the right shapes."""

    name, version = "instant", "1"

    def __init__(self, answers: Callable[[Sequence[str]], list[Array]]) -> None:
        self._answers = answers
        self._real = OnnxRuntimeBackend()

    def load(self, model: bytes, *, threads: int, folder: Path | None = None) -> Any:
        real = self._real.load(model, threads=threads)
        return InstantSession(real.inputs, real.outputs, self._answers(real.outputs))


class InstantSession:
    def __init__(self, inputs: tuple[str, ...], outputs: tuple[str, ...], answer: list[Array]) -> None:
        self.inputs, self.outputs, self._answer = inputs, outputs, answer

    def run(self, feeds: Sequence[Array]) -> list[Array]:
        return self._answer


def make_loop(
    bundle: Bundle,
    profile: HwProfile,
    backend: Any,
    listeners: Sequence[OnOutcome],
    policy: str = "grid",
    cameras: int = 1,
    **bandit: Any,
) -> tuple[EdgeLoop, list[Stream]]:
    """An edge loop whose worker has greeted it, and then says nothing; and its cameras."""
    exits = bundle.manifest.exits
    transport = MemoryTransport()
    listener = transport.listen("memory://worker")
    policy_file = PolicyFile(bundle_id=bundle.id, exits=tuple(ExitSection() for _ in range(exits)))
    objective = policy_file.objective.build()
    decides = make_policy(policy, exits=exits, rng=np.random.default_rng(0), objective=objective, params=bandit)
    link = WorkerLink(
        transport.connect("memory://worker"),
        wire.Hello(0, "bench", bundle.id, policy_file.id, ()),
        ledger=Ledger(32),
        breaker=Breaker(),
        clock=time.monotonic,
        on_change=lambda _: None,
    )
    codecs = {kind: (name, CODECS.load(name)()) for kind, name in (("hidden", "u8z"), ("input", "webp"))}
    offloader = Offloader([link], codecs, clock=time.monotonic, rng=np.random.default_rng(0))
    prefix, costs = Prefix(bundle, backend), CostBook(profile, LinkModel(20.0, 1.0))
    budget = TimeBudget(Timing(10.0, 1.0), costs, time.monotonic)
    rules = Rules(policy_file.reader(), decides, objective, ship_input=True, monitor=DriftMonitor(()))
    deployment = Deployment(prefix, costs, budget, Probe(prefix))
    streams = [Stream(f"camera-{n}", NewestFrame(), rules, deployment) for n in range(cameras)]
    loop = EdgeLoop(streams, offloader=offloader, clock=time.monotonic, on_outcome=listeners)
    loop.step()
    peer, frames = listener.receive() or (b"", [])
    hello = wire.decode(frames)
    listener.send(peer, wire.encode(wire.Welcome(hello.request_id, "bench", bundle.id, 0)))
    loop.step()
    return loop, streams


def tiny(folder: Path) -> tuple[Bundle, HwProfile, list[Array]]:
    """A network of four classes, its profile, and pictures for it."""
    from partitioner.build import Wish, partition
    from partitioner.sources import read_network
    from partitioner.verify import Trial
    from tests.tiny import IDENTITY, tiny_model

    model = folder / "tiny.onnx"
    model.write_bytes(tiny_model().SerializeToString())
    bundle = bundles.load(
        partition(read_network(str(model)), folder, identity=IDENTITY, wish=Wish(), trial=Trial(), clock=time.time)
    )
    images = [np.random.default_rng(i).integers(0, 256, (8, 8, 1), np.uint8) for i in range(40)]
    profile = profiling.profile(bundle, OnnxRuntimeBackend(), images, name="bench", codecs=CodecSection())
    return bundle, profile, images


def step_without_inference(
    folder: Path, bundle: Bundle, profile: HwProfile, image: Array, quick: bool, policy: str, **bandit: Any
) -> dict[str, Any]:
    """Microseconds of one locally answered frame, four classes, log and metrics on."""
    sure = np.array([[9.0, 0.0, 0.0, 0.0]], np.float32)
    metrics = EdgeMetrics()
    log = DecisionLog(folder / f"{policy}.jsonl", {})
    loop, [stream] = make_loop(
        bundle,
        profile,
        Instant(lambda names: [sure for _ in names]),
        [
            lambda outcome, record: metrics.answered("bench", outcome.where, outcome.degraded, outcome.latency_ms),
            lambda outcome, record: log.write(record),
        ],
        policy,
        **bandit,
    )
    rounds, samples = (500 if quick else 5000), []
    for seq in range(rounds + 200):
        stream.slot.put(Frame(seq, time.monotonic(), image))
        started_s = time.perf_counter()
        loop.step()
        samples.append((time.perf_counter() - started_s) * 1e6)
        if seq % 50 == 0:
            time.sleep(0.002)  # let the log's thread write, as the time between frames would
    log.close()
    return {**statistics(samples[200:], "us"), "policy": policy, "lost_records": log.lost}


def local_frame(bundle: Bundle, quick: bool) -> dict[str, Any]:
    """A frame that runs through all segments and the final exit, beside the same onnxruntime calls alone."""
    shape = bundle.manifest.preprocess.image_shape
    images = [np.random.default_rng(i).integers(0, 256, shape, np.uint8) for i in range(20)]
    profile = profiling.profile(bundle, OnnxRuntimeBackend(), images, name="bench", codecs=CodecSection())
    loop, [stream] = make_loop(bundle, profile, OnnxRuntimeBackend(), [], splits=[bundle.manifest.exits])
    prefix = stream.deployment.prefix
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    [tensor] = prefix.intake.tensors(image)
    heads_read = len(stream.rules.policy.begin(next_context(stream)).heads)

    def ours() -> None:
        stream.slot.put(Frame(0, time.monotonic(), image))
        loop.step()

    def bare() -> None:
        prefix.intake.tensors(image)
        hidden: list[Array] = [tensor]
        for k, segment in enumerate(prefix.segments, 1):
            hidden = segment.run(hidden)
            if heads_read > 1 and k < prefix.exits:
                prefix.heads[k - 1].run(hidden)

    return {**paired(ours, bare, rounds=20 if quick else 150, inner=2), "heads_read": heads_read}


def next_context(stream: Stream) -> Any:
    """What the policy is told of the next frame."""
    from bandits.policy import Context

    prefix, costs = stream.deployment.prefix, stream.deployment.costs
    return Context(tuple(range(prefix.exits + 1)), True, 1e4, costs.costs(stream.rules.objective, ship_input=True))


def memory_mb(bundle_dir: Path, folder: Path, cameras: int = 1) -> dict[str, float]:
    """Peak resident memory of `python -m edge_runtime` after 40 frames of each camera."""
    bundle = bundles.load(bundle_dir)
    shape = bundle.manifest.preprocess.image_shape
    images = np.random.default_rng(0).integers(0, 256, (40, *shape), np.uint8)
    policy = PolicyFile(bundle_id=bundle.id, exits=tuple(ExitSection() for _ in range(bundle.manifest.exits)))
    policies.save(policy, folder / "policy.yaml")
    profiles.save(
        profiling.profile(bundle, OnnxRuntimeBackend(), list(images), name="bench", codecs=CodecSection()),
        folder / "profile.yaml",
    )
    write_pictures(folder / "pictures", images[:8])
    options = {"path": str(folder / "pictures"), "loop": True}
    source = {"kind": "directory", "options": options, "limit": 40, "fps": 20}
    config = {
        "bundle": str(bundle_dir),
        "policy": str(folder / "policy.yaml"),
        "profile": str(folder / "profile.yaml"),
        "streams": {f"camera-{n}": {"source": source} for n in range(cameras)},
        "bandit": {"name": "edge_only"},
        "deadline_ms": 5000,
        "margin_ms": 500,
    }
    (folder / "edge.yaml").write_text(json.dumps(config))
    program = (
        "import sys; from edge_runtime.__main__ import main; from edge_runtime.profiling import peak_mb; "
        "code = main(sys.argv[1:]); "
        "print(peak_mb()); sys.exit(code)"
    )
    words = [sys.executable, "-c", program, str(folder / "edge.yaml")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return {
        "peak_mb": float(done.stdout.split()[-1]),
        "bundle_mb": sum(p.bytes for p in bundle.manifest.pieces()) / 1e6,
    }


def write_pictures(folder: Path, images: np.ndarray) -> None:
    """Save as PNG, so that the process under test reads one at a time, as from a camera."""
    from PIL import Image

    folder.mkdir(exist_ok=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number}.png")


def main() -> None:
    options = arguments(__doc__)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        bundle, profile, [image, *_] = tiny(folder)
        step = step_without_inference(folder, bundle, profile, image, options.quick, DEFAULT_BANDIT)
        grid = step_without_inference(folder, bundle, profile, image, options.quick, "grid", splits=[1, 2, 3])
        bundle_dir = mobilenet_bundle(folder)
        memory = memory_mb(bundle_dir, folder)
        local = local_frame(bundles.load(mobilenet_bundle(folder, side=320)), options.quick)
    goals = [
        at_most("edge step without inference", step["median"], "us", 50.0, f"policy {DEFAULT_BANDIT}, the default"),
        at_most("local frame over bare onnxruntime", local["ratio"], "x", 1.02, "the same segments and heads, no loop"),
        at_most("edge process, MobileNetV2", memory["peak_mb"], "MB", 200.0, "python, numpy and onnxruntime included"),
    ]
    report("edge_step", {"step": step, "step_of_grid": grid, "local_frame": local, "memory": memory}, goals, options)


if __name__ == "__main__":
    main()
