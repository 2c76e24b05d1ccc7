"""Threads that compute.  They take batches from the exchange and bring back what came of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

import numpy as np

from cloud_runtime.admission import Refused
from cloud_runtime.exchange import Exchange, Ran
from cloud_runtime.models import Model
from cloud_runtime.scheduler import Batch, Request
from split_core.errors import CodecError
from split_core.tensors import Array

Given = ParamSpec("Given")
Result = TypeVar("Result")


def run_batch(model: Model, batch: Batch, engine: int, clock: Callable[[], float]) -> Ran:
    """Decode what is not decoded yet, run the segment once, hand each request its rows.

    Never raises: a payload that does not decode is refused alone, anything else that goes wrong refuses
    the batch.
    """
    started_s = clock()
    ready, refused = [], []
    for request in batch.requests:
        failure = _attempt(_decode, model, request)
        if failure is None:
            ready.append(request)
        else:
            refused.append((request, failure))
    outputs = _attempt(_run, model, batch.segment, ready, engine) if ready else []
    if isinstance(outputs, Refused):
        refused += [(request, outputs) for request in ready]
        outputs = []
    return Ran(outputs, refused, clock() - started_s)


def _attempt(action: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> Result | Refused:
    try:
        return action(*given, **named)
    except CodecError as error:
        return Refused("malformed", str(error))
    except Exception as error:  # whatever a model or a codec does to one batch, the worker lives on for the next
        return Refused("failed", f"{type(error).__name__}: {' '.join(str(error).split())}")


def _decode(model: Model, request: Request) -> None:
    if request.offload is not None:
        request.tensors, request.offload = model.decode(request.offload), None


def _run(
    model: Model, segment: int, requests: Sequence[Request], engine: int
) -> list[tuple[Request, tuple[Array, ...]]]:
    feeds: Sequence[Array] = requests[0].tensors
    if len(requests) > 1:
        feeds = [np.concatenate(parts) for parts in zip(*(request.tensors for request in requests), strict=True)]
    outputs = model.run(segment, feeds, engine)
    if len(requests) == 1:
        return [(requests[0], tuple(outputs))]
    shares, start = [], 0
    for request in requests:
        shares.append((request, tuple(output[start : start + request.rows] for output in outputs)))
        start += request.rows
    return shares


class Engines:
    """The threads, and the one lock around the exchange.

    Args:
        exchange: where work comes from and goes to; only touched under `lock`.
        models: as the exchange's.
        count: how many threads.
        clock: monotonic seconds.
        wake: called, from any thread, when there are replies to send.
    """

    def __init__(
        self,
        exchange: Exchange,
        models: Mapping[str, Model],
        *,
        count: int,
        clock: Callable[[], float],
        wake: Callable[[], None],
    ) -> None:
        self.lock = threading.Lock()
        self._exchange, self._models, self._clock, self._wake = exchange, models, clock, wake
        self._calls: SimpleQueue[bool] = SimpleQueue()
        self._idle = count  # under the lock, like the queue that it goes with: no call is lost
        self._threads = [
            threading.Thread(target=self._serve, args=(engine,), name=f"engine-{engine}", daemon=True)
            for engine in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def call(self) -> None:
        """Something waits: let an idle engine look.  The caller holds `lock`."""
        if self._idle:
            self._idle -= 1
            self._calls.put(True)

    def work_here(self) -> None:
        """Do in the calling thread what an idle engine would do until nothing waits; nothing if all are busy."""
        with self.lock:
            if not self._idle:
                return
            self._idle -= 1
        self._work(0)

    def close(self, timeout_s: float) -> None:
        """End the threads; those that still compute after `timeout_s` are left behind."""
        for _ in self._threads:
            self._calls.put(False)
        give_up_s = self._clock() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, give_up_s - self._clock()))

    def _serve(self, engine: int) -> None:
        while self._calls.get():
            self._work(engine)

    def _work(self, engine: int) -> None:
        batch: Batch | None = None
        ran: Ran | None = None
        while (batch := self._next(batch, ran)) is not None:
            ran = run_batch(self._models[batch.bundle_id], batch, engine, self._clock)

    def _next(self, batch: Batch | None, ran: Ran | None) -> Batch | None:
        """Bring back what was run, take what is next; whoever gets None is idle from then on."""
        now = self._clock()
        with self.lock:
            if batch is not None and ran is not None:
                self._exchange.finish(batch, ran, now)
            following = self._exchange.next_batch(now)
            if following is None:
                self._idle += 1
            elif self._exchange.queued_rows:
                self.call()
            answered = self._exchange.has_replies
        if answered:
            self._wake()
        return following
