"""Everything a worker decides, without its sockets and threads: frames in, batches out, replies out.

Every `Offload` that comes in gets exactly one `Verdict` or `Refusal`, whatever engines do.  Not safe
for several threads at once: whoever has some holds a lock around each call (`Engines.lock`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cloud_runtime.admission import Admission, Refused
from cloud_runtime.config import Limits
from cloud_runtime.estimates import Estimates
from cloud_runtime.models import Model
from cloud_runtime.scheduler import Batch, Request, Scheduler
from split_core import wire
from split_core.codecs import CODECS
from split_core.errors import WireError
from split_core.telemetry.metrics import CloudMetrics
from split_core.tensors import Array

RESTART_MS = 1000.0  # when to come back to a worker that stops: whatever runs it starts another one

Reply = tuple[bytes, wire.Message]


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a batch.

    Attributes:
        outputs: its requests that ran, each with its rows of the segment's outputs.
        refused: the others.
        seconds: compute, with decoding.
    """

    outputs: list[tuple[Request, tuple[Array, ...]]]
    refused: list[tuple[Request, Refused]]
    seconds: float


class Exchange:
    """The worker's core.

    Args:
        models: what it serves, by bundle id.
        seconds: per bundle id, what segments 1..K take for one row, to begin with.
        limits: how much it takes on.
        name: of the worker.
        engines: how many batches run at the same time.
        metrics: where it counts.
    """

    def __init__(
        self,
        models: Mapping[str, Model],
        seconds: Mapping[str, Sequence[float]],
        limits: Limits,
        *,
        name: str,
        engines: int,
        metrics: CloudMetrics,
    ) -> None:
        self._models, self._name, self._metrics = models, name, metrics
        self._max_rows = min(limits.max_batch_size, limits.max_queue_size)
        self._estimates = Estimates(seconds, limits.max_batch_size)
        self._scheduler = Scheduler(
            {model.id: model.exits for model in models.values()},
            self._estimates,
            max_batch_rows=limits.max_batch_size,
            alone=frozenset((m.id, k) for m in models.values() for k in range(1, m.exits + 1) if not m.joins(k)),
        )
        self._admission = Admission(
            self._scheduler,
            self._estimates,
            max_queue_rows=limits.max_queue_size,
            camera_share=limits.camera_share,
            engines=engines,
        )
        self._running: set[Batch] = set()
        self._replies: list[Reply] = []
        self.stopping = False

    @property
    def queued_rows(self) -> int:
        """Rows that wait."""
        return self._scheduler.queued_rows

    @property
    def has_replies(self) -> bool:
        """Is there something to send?"""
        return bool(self._replies)

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing runs."""
        return not self._running and not self._scheduler.queued_rows

    def work_s(self) -> float:
        """Seconds of compute to finish all that waits or runs."""
        return self._scheduler.work_s()

    def receive(self, peer: bytes, frames: Sequence[bytes], now: float) -> None:
        """Take in one message from a device; any bytes will do."""
        try:
            message = wire.decode(frames)
        except WireError as error:
            self._reply(peer, wire.refusal_of(frames, error))
            return
        if isinstance(message, wire.Offload):
            self._offload(peer, message, now)
        elif isinstance(message, wire.Hello):
            self._hello(peer, message)
        else:
            kind = type(message).__name__
            self._refuse(peer, message.request_id, Refused("malformed", f"devices do not send a {kind}"))

    def next_batch(self, now: float) -> Batch | None:
        """Work for an idle engine, or None; every batch must come back through `finish`."""
        self._expire(now)
        batch = self._scheduler.next_batch(now)
        if batch is not None:
            self._running.add(batch)
        return batch

    def finish(self, batch: Batch, ran: Ran, now: float) -> None:
        """Take back a batch: answer what is done or refused, let the rest wait for its next segment."""
        self._running.discard(batch)
        self._scheduler.finished(batch)
        self._metrics.batch(batch.segment, batch.rows, ran.seconds)
        if not ran.refused:  # what was refused half-way says little about time
            self._estimates.record(batch.bundle_id, batch.segment, batch.rows, ran.seconds)
        for request, refused in ran.refused:
            self._answer(request, refused)
        last = self._models[batch.bundle_id].exits == batch.segment
        for request, outputs in ran.outputs:
            request.compute_s += ran.seconds
            if last:
                self._verdict(request, outputs[0], now)
            elif not request.answered:
                self._go_on(request, outputs)

    def _go_on(self, request: Request, outputs: tuple[Array, ...]) -> None:
        """Let a request wait for the segment after the one that made `outputs`."""
        model = self._models[request.bundle_id]
        request.segment, request.tensors = request.segment + 1, outputs
        request.row_shapes = model.row_shapes(request.segment, (output.shape for output in outputs))
        self._scheduler.add(request)

    def replies(self) -> list[Reply]:
        """All answers since the last call, in order."""
        if not self._replies:
            return []
        replies, self._replies = self._replies, []
        return replies

    def stop(self) -> None:
        """Take nothing new from now on."""
        self.stopping = True

    def abandon(self) -> None:
        """Refuse everything that waits or runs: there is no time left."""
        refused = Refused("stopping", "the worker stopped before it was done", RESTART_MS)
        for request in [*self._scheduler.waiting()]:
            self._scheduler.remove(request)
            self._answer(request, refused)
        for batch in self._running:
            for request in batch.requests:
                self._answer(request, refused)

    def _hello(self, peer: bytes, hello: wire.Hello) -> None:
        self._metrics.hello()
        refused = self._closed_to(hello.bundle_id)
        unknown = [codec for codec in hello.codecs if codec not in CODECS]
        if refused is None and unknown:
            refused = Refused(
                "mismatch", f"no codec named {unknown[0][:40]!r} here; install the same release on both sides"
            )
        if refused is not None:
            self._refuse(peer, hello.request_id, refused)
            return
        self._reply(peer, wire.Welcome(hello.request_id, self._name, hello.bundle_id, self.queued_rows))

    def _offload(self, peer: bytes, offload: wire.Offload, now: float) -> None:
        refused = self._closed_to(offload.bundle_id)
        if refused is None:
            refused = self._enter(peer, offload, now)
        if refused is not None:
            self._refuse(peer, offload.request_id, refused)

    def _closed_to(self, bundle_id: str) -> Refused | None:
        if self.stopping:
            return Refused("stopping", "the worker is stopping; try again or use another one", RESTART_MS)
        if bundle_id not in self._models:
            here = ", ".join(known[:12] for known in self._models)
            return Refused(
                "mismatch",
                f"this worker has bundle {here}, the device runs {bundle_id[:12]!r}; "
                "copy the same bundle to both and restart the one that changed",
            )
        return None

    def _enter(self, peer: bytes, offload: wire.Offload, now: float) -> Refused | None:
        model = self._models[offload.bundle_id]
        try:
            rows = model.rows_of(offload)
        except WireError as error:
            return Refused("malformed", str(error))
        if rows > self._max_rows:
            return Refused("malformed", f"{rows} rows in one request; at most {self._max_rows}")
        request = Request(
            peer,
            offload.request_id,
            offload.bundle_id,
            offload.cut + 1,
            rows,
            now,
            now + offload.deadline_ms / 1e3,
            offload,
            model.row_shapes(offload.cut + 1, (tensor.shape for tensor in offload.tensors)),
        )
        self._expire(now)
        decision = self._admission.decide(request, now)
        if isinstance(decision, Refused):
            return decision
        if decision.instead_of is not None:
            self._scheduler.remove(decision.instead_of)
            crowded = Refused("busy", "made room for a camera that held less of the queue", self.work_s() * 1e3)
            self._answer(decision.instead_of, crowded)
        self._scheduler.add(request)
        return None

    def _expire(self, now: float) -> None:
        for request in self._scheduler.expire(now):
            self._answer(request, Refused("expired", "the deadline passed while it waited"))

    def _verdict(self, request: Request, logits: Array, now: float) -> None:
        if request.answered:
            return
        request.answered = True
        self._metrics.verdict()
        queue_s = max(0.0, now - request.arrived_s - request.compute_s)
        exits = self._models[request.bundle_id].exits
        data = np.ascontiguousarray(logits, np.float32).tobytes()
        self._reply(request.peer, wire.Verdict(request.request_id, exits, data, queue_s * 1e3, request.compute_s * 1e3))

    def _answer(self, request: Request, refused: Refused) -> None:
        if not request.answered:
            request.answered = True
            self._refuse(request.peer, request.request_id, refused)

    def _refuse(self, peer: bytes, request_id: int, refused: Refused) -> None:
        self._reply(peer, wire.Refusal(request_id, refused.code, refused.reason, refused.retry_after_ms))

    def _reply(self, peer: bytes, message: wire.Message) -> None:
        if isinstance(message, wire.Refusal):
            self._metrics.refusal(message.code)
        self._replies.append((peer, message))
