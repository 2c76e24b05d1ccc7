"""Snapshots in a world whose time and worker are scripted."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.link.allowance import Allowance
from edge_runtime.snapshot.one_frame import OneFrame
from edge_runtime.snapshot.snapshot import ENDINGS, About, Snapshot
from edge_runtime.snapshot.words import in_lines
from split_core.errors import DataError
from tests.edge_runtime.world import DEADLINE_S, HEAD_MS, MARGIN_S, SEGMENT_MS, Fate, World

PIXELS = np.random.default_rng(3).integers(0, 256, (8, 8, 1), np.uint8)
SHIPS = {"policy": "fixed", "params": {"split": 1, "threshold": 1.0}}
ANSWERS = {"policy": "fixed", "params": {"split": 1, "threshold": 0.0}}


def one_frame(world: World) -> OneFrame:
    names = [f"worker-{n}" for n in range(world.workers)]

    def wait(seconds: float) -> None:
        comes_at = world.clock.next_at() or math.inf
        world.clock.advance(max(1e-4, min(seconds, comes_at - world.clock.now)))

    return OneFrame(
        world.stream,
        world.offloader,
        workers=names,
        about=About("door", policy=world.policy),
        clock=world.clock,
        wait=wait,
    )


def taken(world: World) -> Snapshot:
    one = one_frame(world)
    one.connect(1.0)
    return one.take(PIXELS)


def said(snapshot: Snapshot) -> list[tuple[int, str]]:
    return [(one.exit, one.when) for one in snapshot.exits]


def test_a_shipped_frame_takes_as_long_as_its_parts_which_are_those_of_the_script(tiny_bundle: Path):
    snapshot = taken(World(tiny_bundle, **SHIPS))
    assert (snapshot.where, snapshot.label, snapshot.degraded) == ("cloud", 3, "")
    assert said(snapshot) == [(1, "run"), (2, "afterwards"), (3, "afterwards"), (3, "worker")]
    assert snapshot.workers == {"worker-0": "closed"}
    ms = {part.what: part.ms for part in snapshot.spent}
    assert ms["segment 1"] == pytest.approx(SEGMENT_MS)
    assert ms["exit 1"] == pytest.approx(HEAD_MS)
    assert ms["worker"] == pytest.approx(1.0)
    assert ms["link"] == pytest.approx(2 * 5.0 - 1.1)  # two ways without what the worker says it needed
    assert sum(ms.values()) == pytest.approx(snapshot.latency_ms)
    assert (snapshot.deadline_ms, snapshot.margin_ms) == pytest.approx((DEADLINE_S * 1e3, MARGIN_S * 1e3))


def test_what_the_exit_said_and_what_was_asked_of_it_stand_side_by_side(tiny_bundle: Path):
    snapshot = taken(World(tiny_bundle, **SHIPS))
    first = snapshot.exits[0]
    assert first.asked == 1.0
    assert snapshot.steps[-1].why == f"{first.confidence:.2f} < 1.00, which the arm asks of exit 1"
    assert [(step.action, step.after, step.target) for step in snapshot.steps] == [("deeper", 0, 1), ("ship", 1, 1)]


def test_costs_are_those_that_the_policy_was_told_before_the_frame(tiny_bundle: Path):
    world = World(tiny_bundle, **SHIPS)
    priced = world.priced()
    told = taken(world).told
    assert [one.device for one in told] == pytest.approx(priced.device.tolist())
    assert [one.ship for one in told[:-1]] == pytest.approx(priced.ship.tolist()[: len(told) - 1])
    assert [one.device_ms for one in told] == pytest.approx([SEGMENT_MS * depth for depth in range(len(told))])
    assert told[-1].cut == -1


def test_the_way_to_the_worker_is_measured_before_the_frame_decides(tiny_bundle: Path):
    world = World(tiny_bundle, **SHIPS, greets=True, fates=[Fate(delay_s=0.001)] * 50)
    believed_ms = world.costs.ship_ms(1)
    told = taken(world).told[1]
    assert told.cut == 1
    assert told.ship_ms == pytest.approx(believed_ms - 8.0, abs=0.5)  # two ways of 1 ms instead of the 10 ms believed


def test_a_worker_that_never_answers_leaves_the_exit_and_the_reason(tiny_bundle: Path):
    snapshot = taken(World(tiny_bundle, **SHIPS, fates=[Fate(), Fate(), Fate(copies=0)]))
    assert (snapshot.where, snapshot.exit, snapshot.degraded, snapshot.late) == ("edge", 1, "timeout", False)
    assert [step.action for step in snapshot.steps] == ["deeper", "ship", "late"]
    assert snapshot.steps[-1].why == ENDINGS["timeout"]
    assert snapshot.cut == 1
    assert snapshot.latency_ms == pytest.approx((DEADLINE_S - MARGIN_S) * 1e3)  # it waited until the margin began
    assert snapshot.spent[-1].what == "waiting"
    assert snapshot.spent[-1].ms > 70.0


def test_a_frame_that_was_answered_here_costs_no_more_time_for_asking_the_worker_afterwards(tiny_bundle: Path):
    snapshot = taken(World(tiny_bundle, **ANSWERS))
    assert snapshot.latency_ms == pytest.approx(SEGMENT_MS + HEAD_MS)
    assert said(snapshot)[-1] == (3, "worker")
    assert snapshot.cut == -1


def test_a_worker_that_does_not_answer_afterwards_has_said_nothing(tiny_bundle: Path):
    snapshot = taken(World(tiny_bundle, **ANSWERS, fates=[Fate(), Fate(), Fate(copies=0)]))
    assert said(snapshot) == [(1, "run"), (2, "afterwards"), (3, "afterwards")]


def test_with_nobody_there_it_says_so(tiny_bundle: Path):
    world = World(tiny_bundle, **SHIPS, answer=lambda message: None, workers=2)
    snapshot = taken(world)
    assert (snapshot.where, snapshot.cloud) == ("edge", False)
    assert snapshot.workers == {"worker-0": "open", "worker-1": "open"}
    lines = in_lines(snapshot)
    assert "worker worker-1 does not answer" in lines
    assert any("may not be sent" in line for line in lines)
    assert all(math.isnan(told.ship_ms) for told in snapshot.told)


def test_an_allowance_that_is_used_up_holds_for_the_question_afterwards_too(tiny_bundle: Path):
    allowance = Allowance(bytes_per_hour=10.0)
    world = World(tiny_bundle, **ANSWERS, allowance=allowance)
    allowance.spend(1000, world.clock())
    snapshot = one_frame(world).take(PIXELS)
    assert not snapshot.cloud
    assert said(snapshot)[-1] == (3, "afterwards")
    assert allowance.spent_bytes == 1000


def test_nothing_is_learned_from_a_frame_before_it_is_explained(tiny_bundle: Path):
    world = World(tiny_bundle, policy="sequential")
    one = one_frame(world)
    one.connect(1.0)
    for _ in range(30):
        snapshot = one.take(PIXELS)
        final = [step for step in snapshot.steps if step.action != "late"][-1]
        assert final.action in ("answer", "ship")
        assert (final.action == "ship") == (snapshot.cut >= 0)


def test_what_the_network_does_not_take_is_refused_before_anything_is_run(tiny_bundle: Path):
    world = World(tiny_bundle, **ANSWERS)
    with pytest.raises(DataError):
        one_frame(world).take("a text")
