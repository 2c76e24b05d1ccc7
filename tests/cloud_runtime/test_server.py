from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_runtime.engine import Engines
from cloud_runtime.models import Model
from cloud_runtime.server import Server
from split_core import wire
from split_core.backends.base import Session
from split_core.tensors import Array
from split_core.transport.base import Listener, Transport
from split_core.transport.memory import MemoryChannel, MemoryTransport
from split_core.transport.zmq import ZmqTransport
from tests.cloud_runtime.desk import Desk, offload, tiny

LIMIT_S = 10.0


@pytest.fixture(scope="module")
def model(tiny_bundle: Path) -> Model:
    return tiny(tiny_bundle)


class Gate:
    """A session that waits until the test opens it."""

    def __init__(self, inner: Session, opened: threading.Event) -> None:
        self.inputs, self.outputs = inner.inputs, inner.outputs
        self._inner, self._opened = inner, opened

    def run(self, feeds: list[Array]) -> list[Array]:
        assert self._opened.wait(LIMIT_S)
        return self._inner.run(feeds)


def gated(model: Model, opened: threading.Event) -> Model:
    slow = Model.__new__(Model)
    slow.__dict__.update(model.__dict__, _sessions=[[Gate(session, opened) for session in model._sessions[0]]])
    return slow


class Bench:
    """A server on a listener, with engines, in the hands of a test."""

    def __init__(self, model: Model, transport: Transport, *, here: bool, drain_s: float = LIMIT_S) -> None:
        self.desk = Desk(model, segment_s=1e-6 if here else 1.0)
        self.transport = transport
        self.listener: Listener = transport.listen("tcp://127.0.0.1:0")
        self.server = Server(
            self.listener,
            self.desk.exchange,
            self.desk.metrics,
            clock=time.monotonic,
            drain_s=drain_s,
            computes_here=here,
        )
        self.engines = Engines(
            self.desk.exchange, {model.id: model}, count=1, clock=time.monotonic, wake=self.server.wake
        )

    def turn(self) -> None:
        self.server.turn(self.engines, 0.0)


@contextmanager
def bench(model: Model, transport: Transport, *, here: bool, drain_s: float = LIMIT_S) -> Iterator[Bench]:
    made = Bench(model, transport, here=here, drain_s=drain_s)
    try:
        yield made
    finally:
        made.engines.close(LIMIT_S)
        made.listener.close()


def send(channel: MemoryChannel, message: wire.Message) -> None:
    assert channel.send(wire.encode(message))


def heard(channel: MemoryChannel) -> list[wire.Message]:
    return [wire.decode(frames) for frames in iter(channel.receive, None)]


def test_a_cheap_request_is_answered_within_one_turn(model: Model) -> None:
    memory = MemoryTransport()
    with bench(model, memory, here=True) as desk:
        channel = memory.connect(desk.listener.address)
        send(channel, offload(model, 5, cut=0))
        desk.turn()
        [verdict] = heard(channel)
    assert isinstance(verdict, wire.Verdict)
    assert verdict.request_id == 5


def test_a_probe_is_answered_while_engines_compute(model: Model) -> None:
    memory, opened = MemoryTransport(), threading.Event()
    with bench(gated(model, opened), memory, here=False) as desk:
        channel = memory.connect(desk.listener.address)
        send(channel, offload(model, 5, deadline_ms=1e6))
        desk.turn()
        send(channel, wire.Hello(6, "door", model.id, "p", ()))
        desk.turn()
        assert heard(channel) == [wire.Welcome(6, "desk", model.id, desk.desk.exchange.queued_rows)]
        opened.set()


@settings(max_examples=100, deadline=None)
@given(messages=st.lists(st.lists(st.binary(max_size=40), max_size=4), min_size=1, max_size=8))
def test_whatever_comes_is_refused_and_the_next_request_is_answered(model: Model, messages: list[list[bytes]]) -> None:
    memory = MemoryTransport()
    with bench(model, memory, here=True) as desk:
        stranger, camera = memory.connect(desk.listener.address), memory.connect(desk.listener.address)
        for frames in messages:
            stranger.send(frames)
        send(camera, offload(model, 9))
        desk.turn()
        assert [type(message) for message in heard(stranger)] == [wire.Refusal] * len(messages)
        assert [type(message) for message in heard(camera)] == [wire.Verdict]


def test_an_answer_to_somebody_who_left_is_counted(model: Model) -> None:
    memory = MemoryTransport()
    with bench(model, memory, here=True) as desk:
        channel = memory.connect(desk.listener.address)
        send(channel, offload(model, 5))
        channel.close()
        desk.turn()
        assert desk.desk.metrics.registry.get_sample_value("offramp_replies_unsent_total") == 1


def test_stopping_finishes_what_runs_and_then_ends(model: Model) -> None:
    memory, opened = MemoryTransport(), threading.Event()
    with bench(gated(model, opened), memory, here=False) as desk:
        channel = memory.connect(desk.listener.address)
        send(channel, offload(model, 5, deadline_ms=1e6))
        desk.turn()
        desk.server.stop()
        send(channel, offload(model, 6))
        thread = threading.Thread(target=desk.server.run, args=(desk.engines,))
        thread.start()
        give_up = time.monotonic() + LIMIT_S
        while not channel.inbox and time.monotonic() < give_up:
            thread.join(0.01)
        opened.set()
        thread.join(LIMIT_S)
        assert not thread.is_alive()
    refusal, verdict = heard(channel)
    assert (refusal.request_id, isinstance(refusal, wire.Refusal) and refusal.code) == (6, "stopping")
    assert (verdict.request_id, isinstance(verdict, wire.Verdict)) == (5, True)


def test_stopping_refuses_what_takes_too_long(model: Model) -> None:
    memory, opened = MemoryTransport(), threading.Event()
    with bench(gated(model, opened), memory, here=False, drain_s=0.05) as desk:
        channel = memory.connect(desk.listener.address)
        for number in (5, 6):
            send(channel, offload(model, number, cut=number - 4, deadline_ms=1e6))
        desk.turn()
        desk.server.stop()
        desk.server.run(desk.engines)
        opened.set()
    refusals = heard(channel)
    assert sorted(message.request_id for message in refusals) == [5, 6]
    assert {message.code for message in refusals if isinstance(message, wire.Refusal)} == {"stopping"}


def test_a_server_that_turns_is_alive_and_one_that_does_not_is_not(model: Model) -> None:
    memory = MemoryTransport()
    with bench(model, memory, here=True) as desk:
        desk.turn()
        assert desk.server.alive()
        desk.server.turned_s -= 60.0
        assert not desk.server.alive()


def test_replies_of_engines_wake_the_loop_over_real_sockets(model: Model) -> None:
    with bench(model, ZmqTransport(), here=False) as desk:
        thread = threading.Thread(target=desk.server.run, args=(desk.engines,))
        thread.start()
        channel = desk.transport.connect(desk.listener.address)
        try:
            give_up = time.monotonic() + LIMIT_S
            answers: list[wire.Message] = []
            for number in range(50):
                message = replace(offload(model, number, cut=number % 3), deadline_ms=1e6)
                while not channel.send(wire.encode(message)) and time.monotonic() < give_up:
                    channel.wait(0.01)
                while (frames := channel.receive()) is None and time.monotonic() < give_up:
                    channel.wait(1.0)
                answers.append(wire.decode(frames or []))
            assert [type(answer) for answer in answers] == [wire.Verdict] * 50
        finally:
            channel.close()
            desk.server.stop()
            thread.join(LIMIT_S)
        assert not thread.is_alive()
