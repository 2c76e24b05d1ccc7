from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_runtime.models import Model
from split_core import wire
from split_core.tensors import Array
from tests.cloud_runtime.desk import Desk, hidden, offload, tiny
from tests.tiny import EXITS

CAMERAS = [b"door", b"gate", b"yard"]


@pytest.fixture(scope="module")
def model(tiny_bundle: Path) -> Model:
    return tiny(tiny_bundle)


deadlines = st.sampled_from([-5.0, 0.0, 0.5, 2.0, 5.0, 20.0, 1000.0])
steps = st.one_of(
    st.tuples(st.just("offload"), st.sampled_from(CAMERAS), st.integers(0, EXITS - 1), st.integers(1, 5), deadlines),
    st.tuples(st.just("garbage"), st.lists(st.binary(max_size=20), max_size=3)),
    st.tuples(st.just("take")),
    st.tuples(st.just("finish"), st.integers(0, 3), st.integers(0, 2), st.sampled_from([0.0001, 0.001, 0.02])),
    st.tuples(st.just("pass"), st.sampled_from([0.0002, 0.002, 0.05])),
)
limits = st.fixed_dictionaries(
    {
        "max_batch_size": st.integers(1, 6),
        "max_queue_size": st.integers(1, 12),
        "camera_share": st.sampled_from([0.2, 0.5, 1.0]),
    }
)


def play(desk: Desk, schedule: list[tuple[object, ...]]) -> Counter[tuple[bytes, int]]:
    """Do what the schedule says; returns what was asked, once each."""
    asked: Counter[tuple[bytes, int]] = Counter()
    for number, (what, *given_) in enumerate(schedule, 1):
        if what == "offload":
            camera, cut, rows, deadline_ms = given_
            asked[camera, number] += 1
            desk.receive(camera, offload(desk.model, number, cut=cut, rows=rows, deadline_ms=deadline_ms))
        elif what == "garbage":
            desk.receive_frames(b"stranger", given_[0])
        elif what == "take":
            batch = desk.take()
            assert batch is None or batch.rows <= desk.limits.max_batch_size
        elif what == "finish" and desk.running:
            which, failing, seconds = given_
            desk.finish(desk.running[which % len(desk.running)], failing=failing, seconds=seconds)
        elif what == "pass":
            desk.now += given_[0]
    return asked


@settings(max_examples=150, deadline=None)
@given(schedule=st.lists(steps, max_size=40), limits=limits, engines=st.integers(1, 3))
def test_every_offload_gets_exactly_one_answer(
    model: Model, schedule: list[tuple[object, ...]], limits: dict[str, float], engines: int
) -> None:
    desk = Desk(model, engines=engines, **limits)
    asked = play(desk, schedule)
    desk.run_dry()
    answers = desk.answers()
    assert {key: count for key, count in answers.items() if key[0] != b"stranger"} == asked
    assert desk.exchange.idle
    assert desk.exchange.work_s() == 0.0


@settings(max_examples=60, deadline=None)
@given(schedule=st.lists(steps, max_size=30), limits=limits)
def test_a_worker_that_gives_up_answers_everything_once(
    model: Model, schedule: list[tuple[object, ...]], limits: dict[str, float]
) -> None:
    desk = Desk(model, **limits)
    asked = play(desk, schedule)
    desk.exchange.stop()
    desk.exchange.abandon()
    desk.said += desk.exchange.replies()
    assert {key: count for key, count in desk.answers().items() if key[0] != b"stranger"} == asked
    for batch in [*desk.running]:
        desk.finish(batch)  # what an engine brings back later changes nothing and goes no further
    assert desk.exchange.idle
    assert {key: count for key, count in desk.answers().items() if key[0] != b"stranger"} == asked


@settings(max_examples=100, deadline=None)
@given(frames=st.lists(st.binary(max_size=40), max_size=4))
def test_any_bytes_are_answered_and_the_next_request_is_unharmed(model: Model, frames: list[bytes]) -> None:
    desk = Desk(model)
    desk.receive_frames(b"stranger", frames)
    assert len(desk.said) == 1
    desk.receive(b"door", offload(model, 7))
    desk.run_dry()
    assert isinstance(desk.said[-1][1], wire.Verdict)


fields = st.recursive(
    st.integers(-1, 9) | st.floats(allow_nan=False) | st.text(max_size=5) | st.just("raw") | st.just("float32"),
    lambda inner: st.lists(inner, max_size=4), max_leaves=12,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_offload_of_our_bundle_is_answered(model: Model, data: st.DataObject) -> None:
    cut, codec = data.draw(st.integers(0, 4)), data.draw(st.sampled_from(["raw", "u8", "pixels", "png", "nonsense"]))
    tensors = data.draw(st.lists(st.tuples(st.sampled_from(["float32", "uint8"]), fields, fields), max_size=3))
    header = [wire.VERSION, "offload", 3, model.id, cut, codec, 50.0, [list(t) for t in tensors]]
    desk = Desk(model)
    desk.receive_frames(b"door", [msgpack.packb(header), *[data.draw(st.binary(max_size=64)) for _ in tensors]])
    desk.run_dry()
    assert desk.answers() == {(b"door", 3): 1}


def test_requests_that_entered_at_different_cuts_run_together_from_where_they_meet(model: Model) -> None:
    desk = Desk(model)
    desk.receive(b"door", offload(model, 1, cut=1))
    first = desk.take()
    assert first is not None
    desk.finish(first)
    desk.receive(b"gate", offload(model, 2, cut=2))
    second = desk.take()
    assert second is not None
    assert (second.segment, [request.request_id for request in second.requests]) == (3, [1, 2])
    desk.finish(second)
    assert desk.codes() == {"verdict": 2}


def test_a_verdict_carries_the_logits_and_splits_the_time(model: Model) -> None:
    desk = Desk(model)
    desk.receive(b"door", offload(model, 9, cut=2, rows=3))
    desk.now += 0.010
    batch = desk.take()
    assert batch is not None
    desk.now += 0.005
    desk.finish(batch, seconds=0.005)
    peer, verdict = desk.said[-1]
    assert isinstance(verdict, wire.Verdict)
    logits: Array = np.frombuffer(verdict.logits, np.float32)
    assert (peer, verdict.request_id, verdict.exit, logits.size) == (b"door", 9, EXITS, 12)
    assert verdict.cloud_ms == pytest.approx(5.0)
    assert verdict.queue_ms == pytest.approx(10.0)


def test_a_hello_is_welcomed_with_the_load(model: Model) -> None:
    desk = Desk(model)
    desk.receive(b"door", offload(model, 1, cut=2, rows=4))
    welcome = desk.ask(b"gate", wire.Hello(5, "gate", model.id, "policy", ("raw", "webp")))
    assert welcome == wire.Welcome(5, "desk", model.id, 4)


def test_another_bundle_is_refused_with_both_ids_and_what_to_do(model: Model) -> None:
    desk = Desk(model)
    other = "f" * 64
    for message in (wire.Hello(5, "gate", other, "p", ()), wire.Offload(5, other, 1, "raw", 50.0, hidden(1))):
        refusal = desk.ask(b"gate", message)
        assert isinstance(refusal, wire.Refusal)
        assert refusal.code == "mismatch"
        assert model.id[:12] in refusal.reason
        assert other[:12] in refusal.reason
        assert "copy the same bundle" in refusal.reason


def test_an_unknown_codec_is_refused_at_the_handshake(model: Model) -> None:
    refusal = Desk(model).ask(b"gate", wire.Hello(5, "gate", model.id, "p", ("raw", "morse")))
    assert isinstance(refusal, wire.Refusal)
    assert (refusal.code, "morse" in refusal.reason) == ("mismatch", True)


def test_what_only_a_worker_says_is_malformed_from_a_device(model: Model) -> None:
    desk = Desk(model)
    for message in (
        wire.Welcome(3, "w", "b", 0),
        wire.Verdict(3, 1, bytes(4), 0.0, 0.0),
        wire.Refusal(3, "busy", "", 0.0),
    ):
        refusal = desk.ask(b"odd", message)
        assert isinstance(refusal, wire.Refusal)
        assert (refusal.code, refusal.request_id) == ("malformed", 3)


def test_more_rows_than_a_batch_holds_are_malformed(model: Model) -> None:
    refusal = Desk(model, max_batch_size=4).ask(b"door", offload(model, 1, rows=5))
    assert isinstance(refusal, wire.Refusal)
    assert refusal.code == "malformed"


def test_a_stopping_worker_finishes_what_it_took_and_takes_nothing_new(model: Model) -> None:
    desk = Desk(model)
    desk.receive(b"door", offload(model, 1))
    desk.exchange.stop()
    for message in (offload(model, 2), wire.Hello(3, "door", model.id, "p", ())):
        refusal = desk.ask(b"door", message)
        assert isinstance(refusal, wire.Refusal)
        assert refusal.code == "stopping"
        assert refusal.retry_after_ms > 0
    desk.run_dry()
    assert isinstance(desk.said[-1][1], wire.Verdict)
    assert desk.exchange.idle


def test_a_deadline_that_passes_in_the_queue_costs_no_compute(model: Model) -> None:
    desk = Desk(model)
    desk.receive(b"door", offload(model, 1, deadline_ms=10.0))
    desk.now += 0.011
    assert desk.take() is None
    assert desk.codes() == {"expired": 1}


def test_a_failed_batch_refuses_its_requests_and_no_others(model: Model) -> None:
    desk = Desk(model)
    desk.receive(b"door", offload(model, 1, cut=2))
    batch = desk.take()
    desk.receive(b"gate", offload(model, 2, cut=2))
    assert batch is not None
    desk.finish(batch, failing=1)
    desk.run_dry()
    assert desk.codes() == {"failed": 1, "verdict": 1}


def test_everything_is_counted(model: Model) -> None:
    desk = Desk(model, max_queue_size=1, max_batch_size=1)
    desk.receive(b"door", offload(model, 1))
    desk.receive(b"door", offload(model, 2))
    desk.receive(b"door", wire.Hello(3, "door", model.id, "p", ()))
    desk.run_dry()
    value = desk.metrics.registry.get_sample_value
    assert value("offramp_requests_total", {"outcome": "verdict"}) == 1
    assert value("offramp_refusals_total", {"code": "busy"}) == 1
    assert value("offramp_hellos_total") == 1
    assert value("offramp_batch_rows_sum") == 1
