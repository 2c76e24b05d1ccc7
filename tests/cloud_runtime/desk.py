"""A worker's core on a test's desk: no sockets, no threads, time as the test says."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from cloud_runtime.admission import Refused
from cloud_runtime.config import Limits
from cloud_runtime.exchange import Exchange, Ran
from cloud_runtime.models import Model, load_model
from cloud_runtime.scheduler import Batch
from split_core import wire
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.codecs import CODECS
from split_core.codecs.base import Encoded
from split_core.telemetry.metrics import CloudMetrics
from tests.tiny import EXITS, LABELS

HIDDEN = {1: (4, 8, 8), 2: (6, 4, 4)}  # of the tiny network
SEGMENT_S = 0.001


def tiny(folder: Path) -> Model:
    return load_model(folder, OnnxRuntimeBackend(), threads=1, engines=3)


def image() -> tuple[Encoded, ...]:
    return (CODECS.load("pixels")().encode(np.zeros((8, 8, 1), np.uint8)),)


def hidden(cut: int, rows: int = 1) -> tuple[Encoded, ...]:
    return (CODECS.load("raw")().encode(np.zeros((rows, *HIDDEN[cut]), np.float32)),)


def offload(model: Model, request_id: int, *, cut: int = 2, rows: int = 1, deadline_ms: float = 1000.0) -> wire.Offload:
    tensors, codec = (image(), "pixels") if cut == 0 else (hidden(cut, rows), "raw")
    return wire.Offload(request_id, model.id, cut, codec, deadline_ms, tensors)


class Desk:
    """An exchange, its clock, and what it said to whom."""

    def __init__(self, model: Model, *, segment_s: float = SEGMENT_S, engines: int = 1, **limits: float) -> None:
        self.model, self.now = model, 100.0
        self.metrics, self.limits = CloudMetrics(), Limits(**limits)
        self.exchange = Exchange(
            {model.id: model}, {model.id: [segment_s] * EXITS}, self.limits, name="desk", engines=engines,
            metrics=self.metrics,
        )  # fmt: skip
        self.running: list[Batch] = []
        self.said: list[tuple[bytes, wire.Message]] = []

    def receive(self, peer: bytes, message: wire.Message) -> None:
        self.receive_frames(peer, [bytes(frame) for frame in wire.encode(message)])

    def receive_frames(self, peer: bytes, frames: list[bytes]) -> None:
        self.exchange.receive(peer, frames, self.now)
        self.said += self.exchange.replies()

    def ask(self, peer: bytes, message: wire.Message) -> wire.Message:
        """What is said to this message at once."""
        self.receive(peer, message)
        return self.said[-1][1]

    def take(self) -> Batch | None:
        batch = self.exchange.next_batch(self.now)
        self.said += self.exchange.replies()
        if batch is not None:
            self.running.append(batch)
        return batch

    def finish(self, batch: Batch, *, seconds: float = SEGMENT_S, failing: int = 0) -> None:
        """Bring back a batch whose first `failing` requests failed."""
        self.running.remove(batch)
        failed, done = batch.requests[:failing], batch.requests[failing:]
        shape = (len(LABELS),) if batch.segment == EXITS else HIDDEN[batch.segment]
        ran = Ran(
            [(request, (np.zeros((request.rows, *shape), np.float32),)) for request in done],
            [(request, Refused("failed", "it broke")) for request in failed],
            seconds,
        )
        self.exchange.finish(batch, ran, self.now)
        self.said += self.exchange.replies()

    def run_dry(self) -> None:
        """Compute until nothing is left."""
        for batch in [*self.running]:
            self.finish(batch)
        while (batch := self.take()) is not None:
            self.finish(batch)

    def answers(self) -> Counter[tuple[bytes, int]]:
        """How often each request was answered."""
        return Counter((peer, m.request_id) for peer, m in self.said if isinstance(m, wire.Verdict | wire.Refusal))

    def codes(self) -> Counter[str]:
        """Verdicts, and refusals by code."""
        names = (m.code if isinstance(m, wire.Refusal) else type(m).__name__.lower() for _, m in self.said)
        return Counter(names)
