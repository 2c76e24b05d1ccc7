from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cloud_runtime.engine import Engines, run_batch
from cloud_runtime.models import Model
from cloud_runtime.scheduler import Batch, Request
from split_core import wire
from split_core.backends.base import Session
from split_core.errors import BackendError
from split_core.tensors import Array
from tests.cloud_runtime.desk import Desk, hidden, offload, tiny
from tests.tiny import EXITS

LIMIT_S = 10.0


@pytest.fixture(scope="module")
def model(tiny_bundle: Path) -> Model:
    return tiny(tiny_bundle)


class Fragile:
    """A session that breaks on a batch that holds a given number, and says what it was given."""

    def __init__(self, inner: Session, error: Exception) -> None:
        self.inputs, self.outputs = inner.inputs, inner.outputs
        self._inner, self._error = inner, error

    def run(self, feeds: list[Array]) -> list[Array]:
        if any((feed == 666.0).any() for feed in feeds):
            raise self._error
        return self._inner.run(feeds)


def fragile(model: Model, error: Exception) -> Model:
    broken = Model.__new__(Model)
    sessions = [[Fragile(session, error) for session in model._sessions[0]]]
    broken.__dict__.update(model.__dict__, _sessions=sessions)
    return broken


def poisoned() -> wire.Encoded:
    array = np.full((1, 6, 4, 4), 666.0, np.float32)
    return replace(hidden(2)[0], data=array.tobytes())


def request(model: Model, number: int, message: wire.Offload) -> Request:
    return Request(b"door", number, model.id, message.cut + 1, model.rows_of(message), 0.0, 1e9, message)


def batch(model: Model, *messages: wire.Offload) -> Batch:
    requests = tuple(request(model, number, message) for number, message in enumerate(messages))
    return Batch(model.id, requests[0].segment, requests, sum(item.rows for item in requests))


def test_each_request_gets_its_own_rows(model: Model) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(rows, 6, 4, 4)).astype(np.float32) for rows in (2, 1, 3)]
    messages = [
        replace(offload(model, 1, rows=len(a)), tensors=(replace(hidden(2, len(a))[0], data=a.tobytes()),))
        for a in arrays
    ]
    ran = run_batch(model, batch(model, *messages), 0, lambda: 0.0)
    for (_, (logits,)), array in zip(ran.outputs, arrays, strict=True):
        np.testing.assert_allclose(logits, model.run(3, [array], 0)[0], rtol=1e-4, atol=1e-5)


def test_a_payload_that_does_not_decode_is_refused_alone(model: Model) -> None:
    bad = replace(offload(model, 2), tensors=(replace(hidden(2)[0], data=b"short"),))
    ran = run_batch(model, batch(model, offload(model, 1), bad, offload(model, 3)), 0, lambda: 0.0)
    assert [item.request_id for item, _ in ran.outputs] == [0, 2]
    assert [(item.request_id, refused.code) for item, refused in ran.refused] == [(1, "malformed")]


@pytest.mark.parametrize(
    "error", [BackendError("out of memory"), RuntimeError("two\nlines"), MemoryError(), KeyError("x")]
)
def test_whatever_breaks_a_batch_becomes_refusals(model: Model, error: Exception) -> None:
    bad = replace(offload(model, 2), tensors=(poisoned(),))
    ran = run_batch(fragile(model, error), batch(model, offload(model, 1), bad), 0, lambda: 0.0)
    assert ran.outputs == []
    assert [refused.code for _, refused in ran.refused] == ["failed", "failed"]
    assert type(error).__name__ in ran.refused[0][1].reason
    assert "\n" not in ran.refused[0][1].reason


def test_compute_time_includes_decoding(model: Model) -> None:
    times = iter([10.0, 10.25])  # before decoding, after running
    assert run_batch(model, batch(model, offload(model, 1)), 0, lambda: next(times)).seconds == 0.25


@contextmanager
def running(desk: Desk, model: Model, count: int) -> Iterator[tuple[Engines, threading.Semaphore]]:
    woken = threading.Semaphore(0)
    engines = Engines(desk.exchange, {model.id: model}, count=count, clock=lambda: desk.now, wake=woken.release)
    try:
        yield engines, woken
    finally:
        engines.close(LIMIT_S)
        assert not any(thread.is_alive() for thread in engines._threads)


def collect(desk: Desk, engines: Engines, woken: threading.Semaphore, count: int) -> None:
    while len(desk.said) < count:
        assert woken.acquire(timeout=LIMIT_S)
        with engines.lock:
            desk.said += desk.exchange.replies()


@pytest.mark.parametrize("count", [1, 3])
def test_threads_finish_all_that_waits_from_every_cut(model: Model, count: int) -> None:
    desk = Desk(model, engines=count)
    with running(desk, model, count) as (engines, woken):
        for number in range(60):
            with engines.lock:
                desk.exchange.receive(b"door", wire_frames(offload(model, number, cut=number % EXITS)), desk.now)
                engines.call()
        collect(desk, engines, woken, 60)
    assert desk.codes() == {"verdict": 60}
    assert set(desk.answers().values()) == {1}
    assert desk.exchange.idle


def test_a_thread_survives_a_batch_that_breaks(model: Model) -> None:
    desk, broken = Desk(model), fragile(model, RuntimeError("boom"))
    with running(desk, broken, 1) as (engines, woken):
        for number, tensors in enumerate([(poisoned(),), hidden(2)]):
            message = replace(offload(model, number), tensors=tensors)
            with engines.lock:
                desk.exchange.receive(b"door", wire_frames(message), desk.now)
                engines.call()
            collect(desk, engines, woken, number + 1)
    assert [type(message).__name__ for _, message in desk.said] == ["Refusal", "Verdict"]


def test_the_listeners_thread_may_take_an_idle_engines_turn(model: Model) -> None:
    desk = Desk(model)
    with running(desk, model, 1) as (engines, _):
        desk.exchange.receive(b"door", wire_frames(offload(model, 1, cut=0)), desk.now)
        engines.work_here()
        desk.said += desk.exchange.replies()
    assert desk.codes() == {"verdict": 1}


def wire_frames(message: wire.Message) -> list[bytes]:
    return [bytes(frame) for frame in wire.encode(message)]
