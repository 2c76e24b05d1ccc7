from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.config import EdgeConfig
from edge_runtime.frames.stream import Stream, Turns
from edge_runtime.frames.together import best_size, may_wait_for_all
from edge_runtime.sources.base import Frame
from edge_runtime.sources.slot import NewestFrame
from split_core.config import parsed
from split_core.errors import BackendError, ConfigError
from tests.edge_runtime.world import World

PIXELS = np.zeros((8, 8, 1), np.uint8)


def streams(count: int) -> list[Stream]:
    return [Stream(str(n), NewestFrame(), None, None) for n in range(count)]  # type: ignore[arg-type]


@given(st.lists(st.sets(st.integers(0, 3), min_size=1), min_size=40, max_size=80))
def test_whoever_always_has_a_frame_gets_as_many_turns_as_anybody(arrivals: list[set[int]]) -> None:
    """Camera 0 always has one; of two turns of another camera, at least one of 0's lies between."""
    cameras = streams(4)
    turns, served = Turns(cameras), []
    for seq, who in enumerate(arrivals):
        for n in {0, *who}:
            cameras[n].slot.put(Frame(seq, 0.0, PIXELS))
        [(stream, _)] = turns.take()
        served.append(stream.camera)
    for n in "123":
        places = [place for place, name in enumerate(served) if name == n]
        assert all("0" in served[a:b] for a, b in itertools.pairwise(places))


def test_nobody_has_a_frame() -> None:
    assert Turns(streams(3)).take() == []
    with pytest.raises(ValueError, match="at least one"):
        Turns([])


def test_a_device_that_is_too_slow_serves_many_cameras_alike_and_each_frame_in_time(tiny_bundle: Path) -> None:
    """Four cameras, ten times as many frames as the device can run through the whole network."""
    world = World(tiny_bundle, policy="edge_only", cameras=4)
    fast = [0.01 * n for n in range(200)]
    for number, stream in enumerate(world.streams):
        every = 1 if number < 3 else 8  # the last camera is slow
        for seq, moment in enumerate(fast[::every]):
            world.clock.at(100.0 + moment, lambda s=stream, q=seq: s.slot.put(Frame(q, world.clock.now, PIXELS)))
    world.play(3.0)
    counts = Counter(outcome.camera for outcome in world.outcomes)
    taken = {stream.camera: stream.slot.offered - stream.slot.dropped for stream in world.streams}
    assert counts == taken
    assert not any(outcome.late for outcome in world.outcomes)
    quick = [counts[stream.camera] for stream in world.streams[:3]]
    assert max(quick) - min(quick) <= 1
    assert counts[world.streams[3].camera] >= 0.8 * 25  # asks for less than its share, and gets it


def config(**more: object) -> EdgeConfig:
    return parsed({"bundle": "b", "policy": "p", "profile": "d", **more}, EdgeConfig, "edge.yaml")


SOURCE = {"kind": "array"}


def test_each_camera_has_files_and_metadata_of_its_own() -> None:
    both = config(
        streams={
            "door": {"source": SOURCE, "metadata": {"site": "north"}},
            "yard": {"source": SOURCE, "deadline_ms": 90},
        },
        metadata={"site": "south", "town": "x"},
        decisions="logs/{camera}.jsonl",
    )
    door, yard = both.cameras()["door"], both.cameras()["yard"]
    assert (door.decisions, yard.decisions) == ("logs/door.jsonl", "logs/yard.jsonl")
    assert (door.metadata, yard.metadata["site"]) == ({"site": "north", "town": "x"}, "south")
    assert (door.deadline_ms, yard.deadline_ms) == (200.0, 90.0)
    assert (door.source.kind, door.streams) == ("array", {})  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, "give source, or streams"),
        ({"source": SOURCE, "streams": {"a": {"source": SOURCE}}}, "and not both"),
        ({"streams": {"a/b": {"source": SOURCE}}}, "letters, digits"),
        ({"streams": {n: {"source": SOURCE} for n in "ab"}, "state": "s.json"}, "put {camera} into it"),
        ({"streams": {"a": {"source": SOURCE, "deadline_ms": 10}}}, "margin_ms 20.0 must be smaller"),
    ],
)
def test_what_cannot_be_meant_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        config(**wrong)


def outcomes_by_camera(world: World) -> dict[tuple[str, int], tuple[int, int, bool]]:
    return {(one.camera, one.seq): (one.label, one.exit, one.late) for one in world.outcomes}


@pytest.mark.parametrize("policy", ["edge_only", "random", "sequential"])
def test_together_cameras_get_the_answers_that_they_get_alone(tiny_bundle: Path, policy: str) -> None:
    told = []
    for together in (1, 3):
        world = World(tiny_bundle, policy=policy, cameras=3)
        world.loop.together = together
        rng = np.random.default_rng(5)
        for stream in world.streams:
            for seq in range(20):
                pixels = rng.integers(0, 256, (8, 8, 1), np.uint8)
                moment = 100.2 + 0.2 * seq
                frame = Frame(seq, moment, pixels)
                world.clock.at(moment, lambda s=stream, f=frame: s.slot.put(f))
        world.play(5.0)
        assert len(world.outcomes) == 60
        told.append(outcomes_by_camera(world))
        if policy == "edge_only":
            assert told[-1] == told[0]
        assert not any(late for _, _, late in told[-1].values())
        # A frame that was run with others has its share of their time, and all of them that of the segments.
        assert all(record.device_ms > 0.0 for record in world.records if record.exits)


def test_frames_that_could_not_wait_for_each_other_are_not_taken_together(tiny_bundle: Path) -> None:
    """The network takes 13 ms; three frames with 80 ms before their margin may wait, with 30 ms two may."""
    world = World(tiny_bundle, policy="edge_only", cameras=3)
    world.loop.together = 3
    sizes = []
    for left_ms in (79.0, 30.0, 12.0):
        for stream in world.streams:
            stream.slot.put(Frame(0, world.clock.now - (80.0 - left_ms) / 1e3, PIXELS))
        sizes.append(len(world.loop._turns.take(3, may_wait_for_all)))
        for stream in world.streams:
            stream.slot.take()
    assert sizes == [3, 2, 1]


def test_an_engine_that_takes_one_frame_only_runs_each_alone(tiny_bundle: Path) -> None:
    class OnlyOne:
        def __init__(self, session) -> None:
            self.session = session

        def run(self, feeds):
            if len(feeds[0]) > 1:
                raise BackendError("built for one frame")
            return self.session.run(feeds)

    world = World(tiny_bundle, policy="edge_only", cameras=2)
    prefix = world.deployment.prefix
    prefix.segments = [OnlyOne(session) for session in prefix.segments]
    assert best_size(prefix, 2) == 1
    world.loop.together = 2  # asked for all the same
    for stream in world.streams:
        stream.slot.put(Frame(0, world.clock.now, PIXELS))
    world.play(0.1)
    assert [outcome.degraded for outcome in world.outcomes] == ["", ""]
    assert {outcome.exit for outcome in world.outcomes} == {3}
