"""Frames that wait on disk for the cloud: bounded, in order, through crashes and damage; and what comes back."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.checks.backlog import Backlog, Fresh, tensors_of, with_payload
from edge_runtime.checks.backlog_store import ROW_BYTES, BacklogStore, Kept
from split_core import wire
from split_core.codecs.affine import Affine8Zstd
from split_core.errors import WireError
from tests.edge_runtime.world import World

LIMIT = 20_000
FRAME = Kept("door", 0, 12.5, "degraded", 1, 3, 0.5, "p" * 64, "b" * 64, 1, "u8z", b"")
SHIPS: dict[str, Any] = {"policy": "fixed", "params": {"split": 1, "threshold": 1.0}, "ship_input": False}


def frame(seq: int, size: int = 1000, confidence: float = 0.5) -> Kept:
    return replace(FRAME, seq=seq, confidence=confidence, payload=bytes(size))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "backlog.sqlite"


steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.lists(st.tuples(st.integers(0, 9000), st.floats(0, 1)), max_size=6)),
        st.tuples(st.just("send"), st.just([])),
        st.tuples(st.just("restart"), st.just([])),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(steps, st.sampled_from(["oldest", "surest"]))
def test_it_is_bounded_and_what_is_in_it_is_what_the_rule_leaves(
    tmp_path_factory: pytest.TempPathFactory, script: list[Any], drop: Any
) -> None:
    path = tmp_path_factory.mktemp("backlog") / "b.sqlite"
    store, model, seq = BacklogStore(path, LIMIT, drop), list[Kept](), 0
    first = (lambda one: one.seq) if drop == "oldest" else (lambda one: (-one.confidence, one.seq))
    for verb, given_frames in script:
        if verb == "add":
            fresh = [frame(seq := seq + 1, size, confidence) for size, confidence in given_frames]
            dropped = store.add(fresh)
            model += fresh
            before = len(model)
            while sum(one.bytes for one in model) > LIMIT:
                model.remove(min(model, key=first))
            assert dropped == before - len(model)
        elif verb == "send" and (found := store.next()):
            expected = min(model, key=lambda one: one.seq if drop == "oldest" else (one.confidence, one.seq))
            assert found[1] == expected
            store.remove(found[0])
            model.remove(expected)
        elif verb == "restart":
            store.close()
            store = BacklogStore(path, LIMIT, drop)
        assert (store.count, store.bytes) == (len(model), sum(one.bytes for one in model))
    store.close()
    assert path.stat().st_size < 1.3 * LIMIT + 100_000


def test_only_who_owns_the_file_may_read_it(path: Path) -> None:
    BacklogStore(path, LIMIT, "oldest").close()
    assert path.stat().st_mode & 0o077 == 0


WRITER = """
import sys
from pathlib import Path
from tests.edge_runtime.test_backlog import LIMIT, frame
from edge_runtime.checks.backlog_store import BacklogStore
store, seq = BacklogStore(Path(sys.argv[1]), 1_000_000, "oldest"), 0
while True:
    store.add([frame(seq), frame(seq + 1)])
    seq += 2
    print(seq, flush=True)
"""


@pytest.mark.parametrize("after", [1, 7, 40])
def test_a_process_that_is_killed_leaves_whole_transactions(path: Path, after: int) -> None:
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    committed = [int(process.stdout.readline()) for _ in range(after)][-1]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    store = BacklogStore(path, 1_000_000, "oldest")
    seqs = []
    while (found := store.next()) is not None:
        seqs.append(found[1].seq)
        store.remove(found[0])
    assert len(seqs) >= committed
    assert len(seqs) % 2 == 0
    assert seqs == list(range(len(seqs)))
    store.close()


def backlog(path: Path, told: list[str], limit: int = 1_000_000) -> Backlog:
    return Backlog(path, limit, "oldest", told.append)


def fresh(seq: int, tensor: np.ndarray | None = None) -> Fresh:
    found = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 64) if tensor is None else tensor
    return Fresh(replace(FRAME, seq=seq), [found], Affine8Zstd())


def test_what_was_kept_is_there_after_a_restart_and_holds_the_same_tensors(path: Path) -> None:
    told: list[str] = []
    first = backlog(path, told)
    first.put(fresh(7))
    first.close()
    again = backlog(path, told)
    again._writer.flush()
    assert again.next is not None
    _, kept = again.next
    assert (kept.seq, again.waiting) == (7, 1)
    assert tensors_of(kept) == (Affine8Zstd().encode(fresh(7).tensors[0]),)
    again.close()
    assert told == []


@pytest.mark.parametrize("damage", [b"not a database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_damaged_file_is_put_aside_and_said_once(path: Path, damage: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(damage)
    told: list[str] = []
    one = backlog(path, told)
    one.put(fresh(1))
    one.close()
    assert (one.kept, one.waiting) == (1, 1)
    assert len(told) == 1
    assert "damaged" in told[0]
    assert path.with_name("backlog.sqlite.damaged").read_bytes() == damage


def test_a_disk_that_refuses_is_said_once_counted_and_tried_again(path: Path) -> None:
    path.parent.write_text("a file where the folder should be")
    told: list[str] = []
    one = backlog(path, told)
    for seq in range(3):
        one.put(fresh(seq))
        one._writer.flush()
    assert one.dropped == {"disk": 3}
    path.parent.unlink()
    one.put(fresh(3))
    one.close()
    assert (one.kept, one.waiting) == (1, 1)
    assert [line.split("(")[0].strip() for line in told] == ["cannot be written", "is written again"]


def test_what_cannot_be_packed_is_counted(path: Path) -> None:
    one = backlog(path, [])
    one.put(fresh(0, np.full((1, 4), np.nan, np.float32)))
    one.close()
    assert (one.kept, dict(one.dropped)) == (0, {"unpackable": 1})


@given(st.binary(max_size=200))
def test_any_bytes_are_tensors_or_an_error(data: bytes) -> None:
    try:
        tensors_of(replace(FRAME, payload=data))
    except WireError:
        return
    raise AssertionError("random bytes were read as an offload")


def test_packing_keeps_within_what_is_reckoned(path: Path) -> None:
    kept = with_payload(FRAME, [Affine8Zstd().encode(fresh(0).tensors[0])])
    assert kept.bytes == len(kept.payload) + ROW_BYTES


def outage(bundle: Path, path: Path, frames: int = 6, **more: Any) -> World:
    """A worker that greets and then answers nothing, frames that are given up, and what was kept of them on disk."""
    world = World(bundle, backlog=path, **{**SHIPS, **more})
    world.play(0.05)
    world.answer = lambda message: None
    world.camera([0.12 * n for n in range(frames)])
    world.play(0.12 * frames + 0.2)
    assert world.kept
    world.kept._writer.flush()
    return world


def settled(world: World, seconds: float = 15.0) -> None:
    """Idle time, in which the disk is as quick as it is."""
    assert world.kept
    for _ in range(round(seconds / 0.05)):
        world.play(0.05)
        world.kept._writer.flush()


def test_frames_that_the_cloud_did_not_answer_are_checked_when_it_is_back(tiny_bundle: Path, path: Path) -> None:
    world = outage(tiny_bundle, path)
    degraded = [one.seq for one in world.outcomes if one.degraded]
    assert degraded
    assert world.kept
    assert world.kept.waiting == len(degraded)
    world.answer = None
    settled(world)
    assert [one.seq for one in world.checked] == degraded
    assert {one.verdict_label for one in world.checked} == {3}
    assert world.kept.waiting == 0
    assert len(world.outcomes) == 6  # no frame has a second outcome
    world.kept.close()


def test_nothing_is_sent_while_frames_need_the_link(tiny_bundle: Path, path: Path) -> None:
    world = outage(tiny_bundle, path)
    world.answer = None
    world.play(2.0)  # until the worker is trusted again
    waiting = len(world.checked)
    world.camera([0.01 * n for n in range(100)])
    world.play(1.0)
    assert len(world.checked) <= waiting + 1
    assert not [one for one in world.outcomes if one.late]
    world.kept.close() if world.kept else None


def test_after_a_restart_with_another_network_what_was_kept_is_of_no_use(tiny_bundle: Path, path: Path) -> None:
    store = BacklogStore(path, LIMIT, "oldest")
    store.add([with_payload(FRAME, [Affine8Zstd().encode(fresh(0).tensors[0])])])
    store.close()
    world = World(tiny_bundle, backlog=path, **SHIPS)
    settled(world, 1.0)
    assert world.forwarder
    assert world.kept
    assert world.forwarder.tally.useless == {"other_network": 1}
    assert world.kept.waiting == 0
    assert not any("Offload" in who for who in world.heard)
    world.kept.close()


def test_a_worker_that_refuses_one_is_not_asked_again_and_a_silent_one_is_later(tiny_bundle: Path, path: Path) -> None:
    world = outage(tiny_bundle, path, frames=1)
    asked: list[float] = []

    def refuses(message: wire.Message) -> list[bytes | memoryview] | None:
        if not isinstance(message, wire.Offload):
            return world.default_answer(message)
        asked.append(world.clock.now)
        return wire.encode(wire.Refusal(message.request_id, "failed", "no", 0.0)) if len(asked) > 1 else None

    world.answer = refuses
    settled(world, 30.0)
    assert world.forwarder
    assert len(asked) == 2
    assert asked[1] - asked[0] > 10.0
    assert world.forwarder.tally.useless == {"refused": 1}
    world.kept.close() if world.kept else None


def test_answers_of_the_whole_network_and_of_the_cloud_are_not_kept(tiny_bundle: Path, path: Path) -> None:
    world = World(tiny_bundle, backlog=path, **SHIPS)
    world.listener.close()
    world.camera([0.1, 0.2, 0.3])  # nobody to send to: there is time for the whole network
    world.play(1.0)
    assert world.kept
    world.kept.close()
    assert {(one.exit, one.degraded) for one in world.outcomes} == {(3, "")}
    assert world.kept.kept == 0


def test_pixels_are_kept_only_where_they_may_leave_the_device(tiny_bundle: Path, path: Path) -> None:
    blind = {"policy": "cloud_only", "params": {}}
    kept = outage(tiny_bundle, path, **{**blind, "ship_input": True})
    assert kept.kept
    assert kept.kept.next is not None
    assert kept.kept.next[1].cut == 0
    kept.kept.close()


def test_the_database_speaks_plain_sqlite(path: Path) -> None:
    store = BacklogStore(path, LIMIT, "oldest")
    store.add([frame(1), frame(2)])
    store.close()
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT seq, camera, why FROM kept").fetchall() == [
            (1, "door", "degraded"),
            (2, "door", "degraded"),
        ]
    db.close()
