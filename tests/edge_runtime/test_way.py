from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bandits.link_estimate import LinkModel
from edge_runtime.frames.way import LINK_HALF_LIFE_S, QUEUE_HALF_LIFE_S, SILENCE_S, Way
from split_core import wire
from tests.edge_runtime.world import Fate, World

ALWAYS_SHIP = {"policy": "fixed", "params": {"split": 1, "threshold": 1.0}}


def way() -> Way:
    return Way(LinkModel(20.0, 1.0))


def test_what_resting_adds_is_expected_of_a_link_that_has_rested_and_of_no_other() -> None:
    subject, rng = way(), np.random.default_rng(0)
    for n in range(400):
        rested = n % 4 == 0
        subject.observe(1000, 30.0 + 80.0 * rested + rng.normal(0, 1.0), idle_s=5.0 if rested else 0.1)
    subject.at(1000.0, idle_s=0.1)
    assert subject.ms(1000) == pytest.approx(30.0, abs=3.0)
    assert subject.at(1000.5, idle_s=5.0)
    assert subject.ms(1000) == pytest.approx(110.0, abs=6.0)


def test_a_link_that_always_rests_is_right_after_a_rest() -> None:
    subject = way()
    for _ in range(300):
        subject.observe(1000, 120.0, idle_s=5.0)
    assert subject.ms(1000) == pytest.approx(120.0, abs=2.0)


def test_the_workers_queue_is_part_of_the_way_and_is_soon_another_one() -> None:
    subject = way()
    before = subject.ms(1000)
    for _ in range(60):
        subject.waited(40.0)
    assert subject.ms(1000) - before == pytest.approx(40.0, abs=0.5)
    subject.at(1000.0, idle_s=0.0)
    assert subject.at(1000.0 + 4 * QUEUE_HALF_LIFE_S, idle_s=20.0)
    assert subject.queue_ms < 6.0


def test_silence_fades_what_was_measured_and_answers_end_it() -> None:
    subject = way()
    for _ in range(100):
        subject.observe(1000, 300.0, idle_s=0.1)
    now = 5000.0
    subject.at(now, idle_s=0.1)
    assert not subject.at(now + SILENCE_S / 2, idle_s=0.1)
    slow = subject.ms(1000)
    for second in range(int(12 * LINK_HALF_LIFE_S)):
        subject.at(now + second, idle_s=0.1)
    assert subject.ms(1000) < 0.2 * slow
    subject.observe(1000, 300.0, idle_s=0.1)
    heard = subject.ms(1000)
    assert not subject.at(now + 12 * LINK_HALF_LIFE_S + 1, idle_s=0.1)
    assert subject.ms(1000) == heard


def test_fading_does_not_depend_on_how_often_one_looks() -> None:
    often, seldom = way(), way()
    for subject in (often, seldom):
        for _ in range(50):
            subject.observe(1000, 300.0, idle_s=0.1)
        subject.at(100.0, idle_s=0.1)
    for second in range(0, 601, 2):
        often.at(100.0 + second, idle_s=0.1)
    for second in (11, 300, 600):
        seldom.at(100.0 + second, idle_s=0.1)
    assert often.ms(1000) == pytest.approx(seldom.ms(1000), rel=1e-9)


def test_offloads_that_are_given_up_make_the_link_no_better() -> None:
    """A half of the offloads takes too long and is never heard of again; the others are quick."""
    told, deaf = way(), way()
    for n in range(300):
        for subject in (told, deaf):
            if n % 2:
                subject.observe(1000, 20.0, idle_s=0.1)
            elif subject is told:
                subject.lost(1000, 150.0)
    assert deaf.ms(1000) == pytest.approx(20.0, abs=1.0)
    assert told.ms(1000) > 75.0


def test_a_loss_that_was_expected_to_take_longer_changes_nothing() -> None:
    subject = way()
    for _ in range(200):
        subject.observe(1000, 200.0, idle_s=0.1)
    subject.lost(1000, 80.0)
    assert subject.ms(1000) == pytest.approx(200.0, abs=0.5)


def test_a_camera_prices_the_queue_and_learns_from_timeouts(tiny_bundle: Path) -> None:
    world = World(tiny_bundle, **ALWAYS_SHIP)
    world.play(0.05)
    before = float(world.priced().ship[1])

    def queued(message: wire.Message) -> list[bytes | memoryview] | None:
        if isinstance(message, wire.Hello):
            return world.default_answer(message)
        return wire.encode(wire.Verdict(message.request_id, world.exits, world.logits(3), 30.0, 1.0))

    world.answer = queued
    world._fates = iter([Fate(0.025)] * 400)  # 50 ms there and back, 30 of which are the queue's
    world.camera([0.1 * n for n in range(40)])
    world.play(5.0)
    assert world.costs.way.queue_ms == pytest.approx(30.0, abs=1.0)
    assert float(world.priced().ship[1]) > before + 20.0
    timed_out = World(tiny_bundle, **ALWAYS_SHIP)
    timed_out.play(0.05)
    timed_out.answer = lambda message: timed_out.default_answer(message) if isinstance(message, wire.Hello) else None
    believed = timed_out.costs.link.ms(300)
    timed_out.camera([0.12 * n for n in range(4)])
    timed_out.play(1.0)
    assert timed_out.costs.link.ms(300) > believed + 10.0
