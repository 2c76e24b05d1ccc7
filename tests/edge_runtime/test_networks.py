"""Offloads in flight while the device goes over to another network: each stays its own network's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.network import Network
from split_core import wire
from tests.edge_runtime.world import ADDRESS, World


def shipping(bundle: Path, **more: object) -> World:
    world = World(bundle, policy="cloud_only", **more)  # type: ignore[arg-type]
    world.play(0.1)
    return world


def go_over(world: World) -> None:
    """To a network with another id."""
    hello = wire.Hello(0, "test", "f" * 64, "0" * 64, ("u8z",))
    world.offloader.introduce(hello, world.offloader._codecs)


def test_an_answer_to_the_network_before_is_still_taken(tiny_bundle: Path):
    world = shipping(tiny_bundle)
    world.camera([0.0])
    world.clock.at(world.clock.now + 0.004, lambda: go_over(world))
    world.play(0.2)
    assert [(one.where, one.degraded) for one in world.outcomes] == [("cloud", "")]


def test_a_frame_that_a_busy_worker_sends_back_is_taken_by_another_as_what_it_is(tiny_bundle: Path):
    asked: list[str] = []

    def answer(message: wire.Message, busy: bool) -> list[bytes | memoryview] | None:
        if not isinstance(message, wire.Offload):
            return world.default_answer(message)
        asked.append(message.bundle_id)
        if busy:
            go_over(world)
            return wire.encode(wire.Refusal(message.request_id, "busy", "no room", retry_after_ms=1000.0))
        return world.default_answer(message)

    world = shipping(tiny_bundle, workers=2)
    world.links[1].queue_ms = 50.0  # the first one is asked first
    for number in range(2):
        world.answers[f"{ADDRESS}-{number}"] = lambda message, busy=number == 0: answer(message, busy)
    world.camera([0.0])
    world.play(0.2)
    assert [(one.where, one.degraded) for one in world.outcomes] == [("cloud", "")]
    assert asked == [world.bundle_id] * 2


@given(st.integers(-1, 5), st.lists(st.floats(width=32), max_size=5))
def test_only_finite_logits_of_an_exit_that_is_there_can_be_an_answer(exit: int, logits: list[float]):
    fits = Network("a", exits=3, classes=4).says(exit, np.array(logits, np.float32))
    assert fits == (len(logits) == 4 and 1 <= exit <= 3 and bool(np.isfinite(logits).all()))
