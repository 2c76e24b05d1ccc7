"""A world for the edge loop, without threads or real time: a clock that runs events, and a scripted worker."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bandits.build import make_policy
from bandits.policy import Costs
from edge_runtime.checks.audit import Auditor
from edge_runtime.checks.backlog import Backlog
from edge_runtime.checks.forwarder import Checked, Forwarder
from edge_runtime.frames.budget import TimeBudget, Timing
from edge_runtime.frames.costs import CostBook, LinkModel
from edge_runtime.frames.deployment import Deployment
from edge_runtime.frames.hedge import Hedge
from edge_runtime.frames.loop import EdgeLoop
from edge_runtime.frames.outcomes import Outcome
from edge_runtime.frames.prefix import Pace, Prefix
from edge_runtime.frames.raw import Probe
from edge_runtime.frames.stream import Stream
from edge_runtime.frames.ticket import Rules
from edge_runtime.link.allowance import Allowance
from edge_runtime.link.breaker import Breaker
from edge_runtime.link.greetings import Greetings
from edge_runtime.link.ledger import Ledger
from edge_runtime.link.offload import Offloader
from edge_runtime.link.worker_link import WorkerLink
from edge_runtime.sources.base import Frame
from edge_runtime.sources.slot import NewestFrame
from split_core import bundle as bundles
from split_core import wire
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.bundle import Bundle
from split_core.codecs.affine import Affine8Zstd
from split_core.codecs.image import Pixels
from split_core.criteria.base import Criterion
from split_core.criteria.max_prob import MaxProb
from split_core.drift.monitor import DriftMonitor
from split_core.objective import Objective
from split_core.profiles import Device, HwProfile, Payload
from split_core.profiles import Timing as StepTiming
from split_core.readings import ExitCalibration, Reader
from split_core.telemetry.audit import AuditRecord
from split_core.telemetry.decisions import FrameRecord
from split_core.transport.memory import MemoryListener, MemoryTransport

DEADLINE_S, MARGIN_S = 0.1, 0.02
AUDIT_PATIENCE_S = 0.5
SEGMENT_MS, HEAD_MS = 4.0, 0.5
ADDRESS = "memory://worker"
OBJECTIVE = Objective(ms=1.0, mu=0.01)


class EventClock:
    """Monotonic seconds that pass only when told, running what was scheduled on the way."""

    def __init__(self) -> None:
        self.now = 100.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def __call__(self) -> float:
        return self.now

    def at(self, moment: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (max(moment, self.now), next(self._order), event))

    def next_at(self) -> float | None:
        return self._events[0][0] if self._events else None

    def advance(self, seconds: float) -> None:
        until = self.now + seconds
        while self._events and self._events[0][0] <= until:
            self.now, _, event = heapq.heappop(self._events)
            event()
        self.now = until


def profile(exits: int, bundle_id: str) -> HwProfile:
    """A device that needs 4 ms per segment, after a slow-down of 2."""
    step = lambda ms: StepTiming(p50_ms=ms / 2, p95_ms=ms / 2, n=1)  # noqa: E731
    device = Device(
        machine="test", cores=1, python="3", numpy="2", backend="onnxruntime", backend_version="1", threads=1
    )
    heads = (*(step(HEAD_MS) for _ in range(exits - 1)), step(0.0))
    payloads = tuple(Payload(cut=k, codec="u8z", encode=step(0.2), bytes_p50=300, bytes_p95=300) for k in range(exits))
    return HwProfile(
        name="test",
        bundle_id=bundle_id,
        device=device,
        segments=tuple(step(SEGMENT_MS) for _ in range(exits)),
        heads=heads,
        tensor=step(0.0),
        payloads=payloads,
        slowdown=2.0,
    )


@dataclass
class Fate:
    """What happens to one message: delivered `copies` times, the first after `delay_s`."""

    delay_s: float = 0.005
    copies: int = 1


@dataclass
class World:
    """One edge loop between a scripted camera and a scripted worker.

    Attributes:
        answer: an offload or a hello to what the worker says, or None for silence.
        answers: the same by the worker's address.
        heard: messages by worker and kind.
        fates: of the messages in either direction, in order; then `Fate()`.
        backlog: where frames are kept for later; `kept` holds them, and writes when it is flushed.
        greets: is the way measured by greetings, too?  They would take fates that a script means for others.
    """

    bundle_dir: Path
    policy: str = "random"
    criterion: Criterion = field(default_factory=MaxProb)
    params: dict[str, object] = field(default_factory=dict)
    fates: list[Fate] = field(default_factory=list)
    answer: Callable[[wire.Message], list[bytes | memoryview] | None] | None = None
    ship_input: bool = True
    exits_confidence: float = 1.0
    seed: int = 0
    audit: float = 0.0
    cameras: int = 1
    hedge: Hedge | None = None
    workers: int = 1
    allowance: Allowance | None = None
    answers: dict[str, Callable[[wire.Message], list[bytes | memoryview] | None]] = field(default_factory=dict)
    greets: bool = False
    backlog: Path | None = None

    def __post_init__(self) -> None:
        self.clock = EventClock()
        self.outcomes: list[Outcome] = []
        self.records: list[FrameRecord] = []
        self.changes: list[str] = []
        self.frames: dict[int, float] = {}
        bundle = bundles.load(self.bundle_dir)
        self.bundle_id, exits = bundle.id, bundle.manifest.exits
        self.exits = exits
        hardware = profile(exits, bundle.id)
        self._transport = MemoryTransport(self._deliver)
        self._fates = iter(self.fates)
        self.listeners = [self._transport.listen(f"{ADDRESS}-{n}") for n in range(self.workers)]
        self.heard: Counter[str] = Counter()
        self.made = make_policy(
            self.policy, exits=exits, rng=np.random.default_rng(self.seed), objective=OBJECTIVE, params=self.params
        )
        pace = Pace(hardware, clock=self.clock, sleep=self.clock.advance)
        prefix = Prefix(bundle, OnnxRuntimeBackend(), pace=pace, clock=self.clock)
        self.costs = CostBook(hardware, LinkModel(10.0, 1.0))
        self.audits: list[AuditRecord] = []
        self.links = [self._link(n, bundle) for n in range(self.workers)]
        self.breaker, self.ledger = self.links[0].breaker, self.links[0]._ledger
        self.offloader = offloader = Offloader(
            self.links,
            {"hidden": ("u8z", Affine8Zstd()), "input": ("pixels", Pixels())},
            clock=self.clock,
            rng=np.random.default_rng(self.seed + 200),
            allowance=self.allowance,
        )
        self.checked: list[Checked] = []
        self.kept = Backlog(self.backlog, 1_000_000, "oldest", self.changes.append) if self.backlog else None
        self.forwarder = self._forwarder(offloader) if self.kept else None
        self.auditor = Auditor(
            offloader,
            forwarder=self.forwarder,
            rng=np.random.default_rng(self.seed + 100),
            patience_s=AUDIT_PATIENCE_S,
            clock=self.clock,
            on_audit=lambda record, _: self.audits.append(record),
        )
        rules = Rules(
            reader=Reader([ExitCalibration()] * exits, self.criterion),
            policy=self.made,
            objective=OBJECTIVE,
            ship_input=self.ship_input,
            monitor=DriftMonitor(()),
            audit=self.audit,
        )
        budget = TimeBudget(Timing(DEADLINE_S, MARGIN_S), self.costs, self.clock)
        self.deployment = Deployment(prefix, self.costs, budget, Probe(prefix))
        self.streams = [Stream(f"camera-{n}", NewestFrame(), rules, self.deployment) for n in range(self.cameras)]
        self.stream = self.streams[0]
        self.slot = self.stream.slot
        self.loop = EdgeLoop(
            self.streams,
            offloader=offloader,
            clock=self.clock,
            on_outcome=[lambda outcome, record: (self.outcomes.append(outcome), self.records.append(record))],
            auditor=self.auditor,
            hedge=self.hedge,
        )

    def _forwarder(self, offloader: Offloader) -> Forwarder:
        assert self.kept
        return Forwarder(
            self.kept,
            frozenset({"degraded", "marked", "audit"}),
            offloader,
            lambda: self.stream.deployment.prefix.network,
            clock=self.clock,
            wall=self.clock,
            on_checked=self.checked.append,
        )

    def _link(self, number: int, bundle: Bundle) -> WorkerLink:
        return WorkerLink(
            self._transport.connect(f"{ADDRESS}-{number}"),
            wire.Hello(0, "test", bundle.id, "0" * 64, ("u8z",)),
            ledger=Ledger(capacity=8),
            breaker=Breaker(failures=2, probe_every_s=0.05, answer_within_s=DEADLINE_S),
            clock=self.clock,
            on_change=self.changes.append,
            greetings=Greetings() if self.greets else None,
        )

    @property
    def listener(self) -> MemoryListener:
        """Of the first worker."""
        return self.listeners[0]

    def priced(self) -> Costs:
        """What the policy is told now."""
        return self.costs.costs(OBJECTIVE, ship_input=self.ship_input)

    def camera(self, moments_s: list[float], seed: int = 1) -> None:
        """Show a random picture at each of these moments, in seconds from now."""
        rng = np.random.default_rng(seed)
        for seq, moment in enumerate(moments_s):
            pixels = rng.integers(0, 256, (8, 8, 1), np.uint8)
            self.clock.at(self.clock.now + moment, lambda seq=seq, pixels=pixels: self._show(seq, pixels))

    def restart_worker(self, down_s: float, up_s: float) -> None:
        """Nobody listens between these moments, in seconds from now."""
        self.clock.at(self.clock.now + down_s, lambda: self.listener.close())
        self.clock.at(self.clock.now + up_s, self._come_back)

    def play(self, seconds: float) -> None:
        """Run the loop until this much time has passed."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            if not self.loop.step():
                moments = [at for at in (self.clock.next_at(), self.loop.next_event_at()) if at is not None]
                wake_at = min([*moments, end])
                self.clock.advance(max(1e-4, wake_at - self.clock.now))

    def logits(self, label: int) -> bytes:
        """A sure verdict."""
        return (np.eye(4, dtype=np.float32)[label] * 9).tobytes()

    def _come_back(self) -> None:
        self.listeners[0] = self._transport.listen(f"{ADDRESS}-0")

    def _show(self, seq: int, pixels: np.ndarray) -> None:
        self.frames[seq] = self.clock.now
        self.slot.put(Frame(seq, self.clock.now, pixels))

    def _deliver(self, put: Callable[[], None]) -> None:
        fate = next(self._fates, Fate())
        for copy in range(fate.copies):
            self.clock.at(self.clock.now + fate.delay_s * (copy + 1), lambda: (put(), self._work()))

    def _work(self) -> None:
        for listener in self.listeners:
            while (received := listener.receive()) is not None:
                peer, frames = received
                message = wire.decode(frames)
                self.heard[f"{listener.address} {type(message).__name__}"] += 1
                answer = self.answers.get(listener.address) or self.answer or self.default_answer
                reply = answer(message)
                if reply is not None:
                    listener.send(peer, reply)

    def default_answer(self, message: wire.Message) -> list[bytes | memoryview] | None:
        """A healthy worker: label 3 for everything."""
        if isinstance(message, wire.Hello):
            return wire.encode(wire.Welcome(message.request_id, "worker", self.bundle_id, 0))
        if isinstance(message, wire.Offload):
            return wire.encode(wire.Verdict(message.request_id, self.exits, self.logits(3), 0.1, 1.0))
        return None
