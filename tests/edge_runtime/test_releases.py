"""Trials on a device without threads or real time: a camera, its loop, two scripted workers, a real store."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_runtime import artefacts
from edge_runtime.camera import Camera
from edge_runtime.config import EdgeConfig
from edge_runtime.releases.changeover import Changeover
from edge_runtime.releases.lineup import line_up
from edge_runtime.releases.releases import ALONE_AFTER_S, STARVED_S, Releases
from edge_runtime.releases.watch import ReleaseWatch
from edge_runtime.sources.array import ArraySource
from edge_runtime.sources.base import Frame
from edge_runtime.sources.feed import Feed
from split_core import bundle as bundles
from split_core import wire
from split_core.config import parsed
from split_core.errors import ReleaseError
from split_core.policy import BanditSection
from split_core.release import held_in
from tests.edge_runtime.world import ADDRESS, World
from tests.release_world import WHOLE, Failing, Workshop, another_bundle
from tests.tiny import LABELS

FIRST, SECOND = (f"{ADDRESS}-{n}" for n in range(2))
GAP_S = 0.05
AGREE = 0.02  # the scripted workers say the same of every picture
SHIPS = BanditSection(name="fixed", params={"split": 1, "threshold": 1.0})


@pytest.fixture(scope="module")
def second(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return another_bundle(tiny_model_path, tmp_path_factory.mktemp("second"), "2")


@pytest.fixture(scope="module")
def contrary(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return another_bundle(tiny_model_path, tmp_path_factory.mktemp("contrary"), "3", labels=LABELS[::-1])


class Device:
    """What an app puts together, on a world's clock.

    Attributes:
        have: ids of bundles by worker; a worker that has none says nothing.
    """

    def __init__(self, folder: Path, bundle: Path, bandit: BanditSection = SHIPS, **releases: Any) -> None:
        self.bandit = bandit
        self.world = World(bundle, workers=2)
        self.workshop, self.asked = Workshop(folder), 0
        self.store = self.workshop.store
        active = self.release(bundle)
        self.store.promote("active")
        section = {"store": str(self.store.folder), "unsigned": True, "probation_s": 20.0, "agree": AGREE, **releases}
        times = {"deadline_ms": 200.0, "margin_ms": 50.0}
        config = parsed(
            {"camera": "camera-0", "releases": section, "source": {"kind": "array"}, **times}, EdgeConfig, "test"
        )
        assert config.releases is not None
        loaded = artefacts.load(config)
        self.config = loaded.config
        source = ArraySource(str(folder / "images.npz"))
        feed = Feed(source, fps=0, limit=0, clock=self.world.clock, wake=lambda: None)
        self.camera = Camera(
            "camera-0", loaded, feed, loaded.deployment(), propose=lambda *_: None, clock=self.world.clock
        )
        self.stream = self.world.stream
        self.stream.rules, self.stream.deployment = self.camera.stream.rules, self.camera.stream.deployment
        self.camera.stream = self.stream
        cameras = {"camera-0": self.camera}
        self.have = {FIRST: {bundles.load(bundle).id}, SECOND: {bundles.load(bundle).id}}
        for address in self.have:
            self.world.answers[address] = lambda message, address=address: self.answer(address, message)
        self.watch = ReleaseWatch(
            self.store,
            active,
            load=lambda name: (
                line_up(name, self.config.with_release(held_in(self.store.folder / name)), cameras),
                {"camera-0": self.camera.artefacts.rules()},
            ),
            ask=self.ask,
            tell=lambda line: None,
            wake=lambda: None,
            clock=self.world.clock,
        )
        self.releases = Releases(
            config.releases,
            active,
            change=Changeover(cameras, self.world.loop, self.world.offloader),
            watch=self.watch,
            clock=self.world.clock,
        )
        self.world.loop.on_ended, self.world.loop.on_idle = self.releases.ended, self.releases.idle

    def release(self, bundle: Path) -> str:
        return self.workshop.add(bundle, self.bandit)

    def ask(self, hello: wire.Hello) -> dict[str, bool | None]:
        self.asked += 1
        return {address: hello.bundle_id in have if have else None for address, have in self.have.items()}

    def answer(self, address: str, message: wire.Message) -> list[bytes | memoryview] | None:
        """As a worker that has some bundles, or is dead."""
        if not self.have[address] or not isinstance(message, wire.Hello | wire.Offload):
            return None
        if message.bundle_id not in self.have[address]:
            return wire.encode(wire.Refusal(message.request_id, "mismatch", "another bundle", 0.0))
        if isinstance(message, wire.Hello):
            return wire.encode(wire.Welcome(message.request_id, "worker", message.bundle_id, 0))
        return self.world.default_answer(message)

    def play(self, seconds: float) -> list[Any]:
        """A frame every 50 ms; the watch looks between two frames, as often as the thread would."""
        before = len(self.world.outcomes)
        for _ in range(round(seconds / 0.5)):
            self.world.camera([GAP_S * n for n in range(10)])
            for _ in range(5):
                self.world.play(0.1)
                self.releases.tick()
            self.watch.look()
            self.releases.tick()
        return self.world.outcomes[before:]

    @property
    def stage(self) -> str:
        return self.releases.trial.stage if self.releases.trial else ""

    @property
    def runs(self) -> str:
        return self.stream.deployment.prefix.network.bundle_id


@pytest.fixture
def clocked(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Devices whose budgets are on their world's clock."""

    def make(folder: Path, bundle: Path, **releases: Any) -> Device:
        clock = [time.monotonic]
        monkeypatch.setattr(time, "monotonic", lambda: clock[0]())
        world_clock = World.__post_init__

        def remember(world: World) -> None:
            world_clock(world)
            clock[0] = world.clock

        monkeypatch.setattr(World, "__post_init__", remember)
        return Device(folder, bundle, **releases)

    return make


def test_a_device_stays_with_what_it_has_until_a_worker_has_the_new_bundle(
    clocked: Any, tiny_bundle: Path, second: Path, tmp_path: Path
):
    device = clocked(tmp_path, tiny_bundle)
    old, new = device.runs, bundles.load(second).id
    name = device.release(second)
    device.play(6)
    device.store.promote("trial", name)
    device.play(20)
    assert (device.stage, device.runs) == ("waiting", old)
    assert 2 <= device.asked <= 5
    device.have[SECOND].add(new)
    after = device.play(8)
    assert (device.stage, device.runs) == ("probation", new)
    assert [link.breaker.is_open for link in device.world.links] == [True, False]  # the first would only refuse
    assert not {one.degraded for one in after} & {"refused", "timeout"}
    device.have[FIRST].add(new)
    device.play(15)
    assert device.store.pointer("active") == name
    assert not any(link.breaker.is_open for link in device.world.links)


def test_without_any_link_it_waits_a_minute_and_goes_over_alone(
    clocked: Any, tiny_bundle: Path, second: Path, tmp_path: Path
):
    device = clocked(tmp_path, tiny_bundle)
    name = device.release(second)
    device.play(6)
    device.have = {FIRST: set(), SECOND: set()}
    device.store.promote("trial", name)
    device.play(ALONE_AFTER_S - 20)
    assert device.stage == "waiting"
    device.play(30)
    assert (device.stage, device.runs) == ("probation", bundles.load(second).id)
    outcomes = device.play(20)
    assert device.store.pointer("active") == name
    assert {one.where for one in outcomes} == {"edge"}


def test_a_device_that_is_told_so_goes_over_alone_at_once(
    clocked: Any, tiny_bundle: Path, second: Path, tmp_path: Path
):
    device = clocked(tmp_path, tiny_bundle, workers="alone")
    device.store.promote("trial", device.release(second))
    device.play(12)
    assert (device.stage, device.runs, device.asked) == ("probation", bundles.load(second).id, 0)


@pytest.mark.parametrize(("age_s", "compares"), [(0.0, True), (0.149, False)])
def test_a_device_that_never_rests_compares_between_frames_where_none_becomes_late(
    clocked: Any, tiny_bundle: Path, second: Path, tmp_path: Path, age_s: float, compares: bool
):
    """Frames are fresh, or have waited until there is hardly any time left."""
    device = clocked(tmp_path, tiny_bundle, bandit=WHOLE, agree=0.5)
    device.store.promote("trial", device.release(second))
    device.watch.look()
    world, picture = device.world, np.zeros((8, 8, 1), np.uint8)
    for seq in range(round((STARVED_S + 60) / 0.5)):
        for _ in range(2):
            world.slot.put(Frame(seq, world.clock.now - age_s, picture))
            world.loop.step()
            world.slot.put(Frame(seq, world.clock.now - age_s, picture))  # the next one is there already
            device.releases.tick()
            trial = device.releases.trial
            assert seq * 0.5 > STARVED_S or (trial is not None and trial.comparisons == 0)
        world.clock.advance(0.5)
    assert (device.stage != "comparing") == compares
    assert not [one for one in world.outcomes if one.late and not age_s]


def test_a_link_that_is_lost_in_the_probation_is_not_the_releases_fault(
    clocked: Any, tiny_bundle: Path, second: Path, tmp_path: Path
):
    device = clocked(tmp_path, tiny_bundle)
    name, new = device.release(second), bundles.load(second).id
    for have in device.have.values():
        have.add(new)
    device.play(10)
    device.store.promote("trial", name)
    device.play(5)
    assert device.stage == "probation"
    device.have = {FIRST: set(), SECOND: set()}
    device.play(25)
    assert device.store.pointer("active") == name
    assert device.releases.results["rolled_back"] == 0


def test_frames_that_end_badly_while_workers_are_there_take_it_back_and_what_was_learned_returns(
    clocked: Any, tiny_bundle: Path, second: Path, tmp_path: Path
):
    device = clocked(tmp_path, tiny_bundle)
    old, name, new = device.runs, device.release(second), bundles.load(second).id
    for have in device.have.values():
        have.add(new)
    rules = device.stream.rules
    device.play(10)
    device.store.promote("trial", name)
    device.play(5)
    assert (device.stage, device.runs) == ("probation", new)
    prefix = device.stream.deployment.prefix
    prefix.segments[0] = Failing(prefix.segments[0], after=0)
    outcomes = device.play(3)
    assert (device.stage, device.runs) == ("", old)
    assert device.stream.rules.policy is rules.policy
    assert 1 <= Counter(one.degraded for one in outcomes)["engine"] <= 12
    assert "ended badly" in device.store.history()[-1].why
    assert device.store.pointer("trial") == ""


STEPS = ("second", "contrary", "refuse", "active", "rollback", "dead", "alive", "fail", "wait")


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(STEPS), min_size=1, max_size=6))
def test_whatever_people_workers_and_engines_do_each_frame_has_one_outcome_and_the_store_is_right(
    clocked: Any,
    tiny_bundle: Path,
    second: Path,
    contrary: Path,
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[str],
):
    device = clocked(tmp_path_factory.mktemp("device"), tiny_bundle, bandit=WHOLE, agree=0.5, probation_s=3.0)
    names = {"second": device.release(second), "contrary": device.release(contrary)}
    everything = {bundles.load(bundle).id for bundle in (tiny_bundle, second, contrary)}
    device.have = {FIRST: everything, SECOND: everything}
    device.play(6)
    for step in steps:
        if step in names:
            device.store.promote("trial", names[step])
        elif step == "refuse" and (on_trial := device.store.pointer("trial")):
            device.store.refuse(on_trial, "by hand")
        elif step == "active":
            device.store.promote("active", names["second"])
        elif step == "rollback":
            with suppress(ReleaseError):  # none was active before
                device.store.rollback()
        elif step in ("dead", "alive"):
            device.have[FIRST] = everything if step == "alive" else set()
        elif step == "fail" and device.stage == "probation":
            prefix = device.stream.deployment.prefix
            prefix.segments[0] = Failing(prefix.segments[0], after=5)
        device.play(3)
    device.have = {FIRST: everything, SECOND: everything}
    device.play(15)
    outcomes = device.world.outcomes
    assert len(outcomes) + device.world.slot.dropped == device.world.slot.offered
    assert not [one for one in outcomes if one.late]
    assert device.releases.trial is None
    assert device.store.pointer("trial") == ""
    assert device.releases.active == device.store.pointer("active")
    assert device.store.load(device.releases.active).bundle_id == device.runs
