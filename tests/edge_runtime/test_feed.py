from __future__ import annotations

import threading

import numpy as np
import pytest

from edge_runtime.sources.base import Frame
from edge_runtime.sources.feed import Feed
from edge_runtime.sources.slot import NewestFrame
from split_core.errors import SourceError

PIXELS = np.zeros((2, 2, 1), np.uint8)


class Pictures:
    """A source of a few blank pictures; fails after them when told to."""

    def __init__(self, count: int, error: SourceError | None = None) -> None:
        self.left, self.error, self.closed = count, error, False

    def read(self):
        if self.left:
            self.left -= 1
            return PIXELS
        if self.error:
            raise self.error
        return None

    def close(self) -> None:
        self.closed = True


def feed_of(source: Pictures, *, limit: int = 0, fps: float = 0.0) -> Feed:
    ticks = iter(range(1_000_000))
    return Feed(source, fps=fps, limit=limit, clock=lambda: float(next(ticks)), wake=lambda: None)


def run(feed: Feed) -> None:
    feed.start()
    feed._thread.join(timeout=10)
    assert feed.ended


def test_the_newest_frame_wins_and_older_unread_ones_are_counted():
    slot = NewestFrame()
    for seq in range(3):
        slot.put(Frame(seq, 0.0, PIXELS))
    assert slot.take().seq == 2
    assert slot.take() is None
    assert (slot.offered, slot.dropped) == (3, 2)


def test_numbers_increase_and_the_source_is_closed_at_the_end():
    source = Pictures(4)
    feed = feed_of(source)
    run(feed)
    assert feed.slot.take().seq == 3
    assert feed.slot.offered == 4
    assert source.closed
    assert feed.error is None


def test_a_limit_stops_it():
    feed = feed_of(Pictures(10), limit=3)
    run(feed)
    assert feed.slot.offered == 3


def test_an_error_of_the_source_is_kept_and_ends_the_feed():
    feed = feed_of(Pictures(1, SourceError("the lens fell off")))
    run(feed)
    assert str(feed.error) == "the lens fell off"


def test_stop_ends_a_paced_feed_at_once():
    woken = threading.Event()
    clock = [0.0]
    feed = Feed(Pictures(100), fps=0.001, limit=0, clock=lambda: clock[0], wake=woken.set)
    feed.start()
    assert woken.wait(timeout=10)
    feed.stop()
    assert feed.ended
    assert feed.slot.offered == 1


@pytest.mark.parametrize("fps", [10.0, 1000.0])
def test_pacing_never_gives_more_than_was_asked(fps):
    moments: list[float] = []
    now = [0.0]

    def clock() -> float:
        now[0] += 1e-4
        return now[0]

    feed = Feed(Pictures(20), fps=fps, limit=0, clock=clock, wake=lambda: moments.append(now[0]))
    feed._stopping.wait = lambda seconds: now.__setitem__(0, now[0] + seconds) or False
    feed._read_all()
    gaps = np.diff(moments[1:])
    assert gaps.min() >= 0.9 / fps - 4e-4


def every_feed(count: int) -> Feed:
    return Feed(Pictures(count), fps=0.0, limit=0, clock=lambda: 0.0, wake=lambda: None, every=True)


def test_a_feed_that_waits_drops_nothing():
    feed, seen = every_feed(50), []
    feed.start()
    while not (feed.ended and feed.slot.empty):
        frame = feed.slot.take()
        if frame is not None:
            seen.append(frame.seq)
    assert seen == list(range(50))
    assert feed.slot.dropped == 0


def test_a_feed_that_waits_ends_when_it_is_stopped():
    feed = every_feed(50)
    feed.start()
    feed.stop()
    assert feed.ended
    assert feed.slot.offered <= 1
