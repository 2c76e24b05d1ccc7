"""A camera that dies, hangs and changes: what the feed makes of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from edge_runtime.config import SourceSection
from edge_runtime.opening import make_feed
from edge_runtime.sources.live import MOST_HUNG, LiveFeed
from split_core.errors import ConfigError, SourceError
from tests.mjpeg_server import mjpeg_camera

LIMIT_S = 20.0
PIXELS = np.zeros((4, 6, 3), np.uint8)


class Script:
    """A camera whose connections go as they are told: so many pictures, then an end, an error, or nothing for ever."""

    def __init__(self, *lives: tuple[int, str]) -> None:
        self._lives, self.opened, self.closed = iter(lives), 0, 0
        self.go_on = threading.Event()

    def connect(self) -> ScriptedSource:
        self.opened += 1
        return ScriptedSource(self, *next(self._lives, (0, "hang")))


class ScriptedSource:
    def __init__(self, script: Script, left: int, end: str) -> None:
        self._script, self._left, self._end = script, left, end

    def grab(self) -> bool:
        if self._left:
            self._left -= 1
            return True
        if self._end == "hang":
            assert self._script.go_on.wait(LIMIT_S)
        if self._end == "error":
            raise SourceError("the lens fell off")
        return False

    def item(self) -> np.ndarray | None:
        return None if self._end == "broken" else PIXELS

    def read(self) -> np.ndarray | None:
        return self.item() if self.grab() else None

    def close(self) -> None:
        self._script.closed += 1


class Quick:
    """Randomness that makes no feed wait for long."""

    def uniform(self, low: float, high: float) -> float:
        return 0.001


def feed_of(make: Callable[[], Any], **changes: Any) -> tuple[LiveFeed, list[str]]:
    said: list[str] = []
    options = {"fps": 0.0, "limit": 0, "motion": 0.0, "watchdog_s": 0.3, **changes}
    feed = LiveFeed(
        make,
        tell=said.append,
        clock=time.monotonic,
        wake=lambda: None,
        rng=Quick(),
        **options,  # type: ignore[arg-type]
    )
    return feed, said


def until(happened: Callable[[], bool]) -> None:
    """Return as soon as it has happened; looks often, for nothing tells."""
    moment, give_up_s = threading.Event(), time.monotonic() + LIMIT_S
    while not happened():
        assert time.monotonic() < give_up_s
        moment.wait(0.01)


@pytest.fixture
def running() -> Iterator[Callable[[LiveFeed], LiveFeed]]:
    feeds: list[LiveFeed] = []

    def start(feed: LiveFeed) -> LiveFeed:
        feeds.append(feed)
        feed.start()
        return feed

    yield start
    for feed in feeds:
        feed.stop()
        assert feed.ended


def test_a_camera_that_ends_or_fails_is_opened_again_and_both_are_said_once(running):
    script = Script((3, "end"), (0, "error"), (0, "error"), (2, "hang"))
    feed, said = feed_of(script.connect)
    running(feed)
    until(lambda: feed.slot.offered == 5 and feed.sees)
    assert said[:3] == ["pictures come", "lost: the stream has ended", "lost: the lens fell off"]
    assert said[3].startswith("pictures come again, after ")
    assert (feed.connections, len(said), script.closed) == (4, 4, 3)
    script.go_on.set()


def test_a_reader_that_hangs_is_left_behind_and_what_it_still_gives_is_nobodys(running):
    script = Script((1, "hang"), (1, "hang"))
    feed, said = feed_of(script.connect)
    running(feed)
    until(lambda: script.opened == 2 and feed.slot.offered == 2)
    assert said[1] == "lost: no pictures come"
    script.go_on.set()
    until(lambda: script.closed >= 2)
    assert feed.slot.offered == 2


def test_readers_that_hang_are_never_many(running, monkeypatch):
    monkeypatch.setattr("edge_runtime.sources.live.FIRST_S", 0.05)
    script = Script()
    feed, said = feed_of(script.connect, watchdog_s=0.05)
    running(feed)
    until(lambda: any("hang in its driver" in line for line in said))
    assert script.opened == MOST_HUNG
    assert not feed.sees
    script.go_on.set()
    until(lambda: script.opened > MOST_HUNG)


def test_frames_that_are_too_many_still_or_broken_are_counted_by_reason(running):
    for changes, lives, reason in (
        ({"fps": 0.001}, (50, "hang"), "rate"),
        ({"motion": 0.1}, (50, "hang"), "still"),
        ({}, (50, "broken"), "unreadable"),
    ):
        script = Script(lives)
        feed, _ = feed_of(script.connect, watchdog_s=LIMIT_S, **changes)
        running(feed)
        until(lambda feed=feed: feed.slot.offered == 50)
        assert feed.slot.drops[reason] >= 49
        script.go_on.set()


def test_a_limit_ends_it(running):
    feed, _ = feed_of(Script((100, "hang")).connect, limit=7)
    running(feed)
    until(lambda: feed.ended)
    assert feed.slot.offered == 7


def test_a_source_that_is_live_gets_a_feed_that_comes_back_and_bad_options_are_refused_at_once():
    pytest.importorskip("av")
    section = SourceSection(kind="camera", options={"address": "http://127.0.0.1:9/x"})
    assert isinstance(make_feed(section, None, lambda: None, print), LiveFeed)
    for options, words in (
        ({"address": ""}, "source.options.address"),
        ({"address": "rtsp://x/y", "transport": "avian"}, "expected tcp or udp"),
        ({"address": "/dev/video0", "size": "big"}, "WIDTHxHEIGHT"),
        ({"address": "rtsp://x/y", "colour": 1}, "colour"),
    ):
        with pytest.raises(ConfigError, match=words):
            make_feed(section.model_copy(update={"options": options}), None, lambda: None, print)


def camera_feed(address: str, **changes: Any) -> tuple[LiveFeed, list[str]]:
    camera = pytest.importorskip("edge_runtime.sources.camera")
    return feed_of(lambda: camera.CameraSource(address, timeout_s=0.5), **changes)


def shape_of_next(feed: LiveFeed) -> tuple[int, ...]:
    """Of the newest picture, if there is a new one."""
    frame = feed.slot.take()
    return () if frame is None or isinstance(frame.item, str) else frame.item.shape


def test_a_real_stream_that_freezes_dies_and_returns_with_another_size(running):
    with mjpeg_camera() as camera:
        feed, said = camera_feed(camera.address, watchdog_s=1.0)
        running(feed)
        until(lambda: feed.slot.offered > 5)
        camera.frozen.set()
        until(lambda: not feed.sees)
        camera.frozen.clear()
        until(lambda: feed.sees)
        camera.size = (96, 80)
        until(lambda: shape_of_next(feed) == (80, 96, 3))
        port = camera.port
    until(lambda: not feed.sees)
    with mjpeg_camera(port):
        until(lambda: feed.sees)
    assert [line.split(":")[0].split(",")[0] for line in said[:4]] == [
        "pictures come",
        "lost",
        "pictures come again",
        "lost",
    ]


def test_pictures_that_are_garbage_are_passed_over(running):
    with mjpeg_camera() as camera:
        feed, _ = camera_feed(camera.address, watchdog_s=1.0)
        running(feed)
        until(lambda: feed.slot.offered > 3)
        camera.garbage.set()
        until(lambda: camera.clients > 1 or not feed.sees)
        camera.garbage.clear()
        seen = feed.slot.offered
        until(lambda: feed.slot.offered > seen + 5)


def test_a_password_is_in_no_message():
    camera = pytest.importorskip("edge_runtime.sources.camera")
    source = camera.CameraSource("http://me:secret@127.0.0.1:9/video", timeout_s=0.5)
    with pytest.raises(SourceError) as caught:
        source.grab()
    assert "secret" not in str(caught.value)
    assert "***@127.0.0.1:9" in str(caught.value)
    source.close()
