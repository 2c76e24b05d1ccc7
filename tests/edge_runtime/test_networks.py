"""Offloads in flight while the device goes over to another network: each stays its own network's."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_runtime.frames.prefix import Pace, Prefix
from edge_runtime.link.network import Network
from split_core import bundle as bundles
from split_core import wire
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from tests.edge_runtime.world import ADDRESS, DEADLINE_S, Fate, World, profile
from tests.release_world import another_bundle
from tests.tiny import LABELS


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


@pytest.fixture(scope="module")
def second(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return another_bundle(tiny_model_path, tmp_path_factory.mktemp("second"), "2", labels=LABELS[::-1])


class Swapping(World):
    """A world whose camera goes to and fro between two networks, and whose worker knows both or one."""

    def prepare(self, other: Path, knows: set[str]) -> None:
        bundle = bundles.load(other)
        self.knows, self.told = knows or {self.bundle_id, bundle.id}, {self.bundle_id: 0, bundle.id: 0}
        pace = Pace(profile(3, bundle.id), clock=self.clock, sleep=self.clock.advance)
        prefix = Prefix(bundle, OnnxRuntimeBackend(), pace=pace, clock=self.clock)
        self.networks = [self.deployment, replace(self.deployment, prefix=prefix)]
        self.answer = self.say

    def swap(self) -> None:
        """As a changeover does, between two frames."""
        self.networks.reverse()
        self.stream.deployment = self.networks[0]
        network = self.networks[0].prefix.network
        self.offloader.introduce(wire.Hello(0, "test", network.bundle_id, "0" * 64, ("u8z",)), self.offloader._codecs)

    def say(self, message: wire.Message) -> list[bytes | memoryview] | None:
        if not isinstance(message, wire.Hello | wire.Offload):
            return None
        if message.bundle_id not in self.knows:
            return wire.encode(wire.Refusal(message.request_id, "mismatch", "another bundle", 0.0))
        if isinstance(message, wire.Hello):
            return wire.encode(wire.Welcome(message.request_id, "worker", message.bundle_id, 0))
        self.told[message.bundle_id] += 1
        return self.default_answer(message)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    swaps=st.lists(st.floats(0.0, 1.0), max_size=20),
    frames=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=25),
    fates=st.lists(st.builds(Fate, st.floats(0.001, 0.15), st.integers(0, 2)), max_size=30),
    knows_both=st.booleans(),
    seed=st.integers(0, 5),
)
def test_however_often_a_camera_changes_its_network_every_frame_has_one_outcome_in_time(
    tiny_bundle: Path,
    second: Path,
    swaps: list[float],
    frames: list[float],
    fates: list[Fate],
    knows_both: bool,
    seed: int,
):
    world = Swapping(tiny_bundle, policy="random", seed=seed, fates=fates)
    world.prepare(second, set() if knows_both else {world.bundle_id})
    world.play(0.1)
    world.camera(frames)
    for moment in swaps:
        world.clock.at(world.clock.now + moment, world.swap)
    world.play(1.0 + 2 * DEADLINE_S)
    answered = Counter(one.seq for one in world.outcomes)
    assert set(answered.values()) <= {1}
    assert len(answered) + world.slot.dropped == len(frames)
    assert not [one for one in world.outcomes if one.late]
    assert world.loop.in_flight == 0
