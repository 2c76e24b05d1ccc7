"""Whatever `TRANSPORTS` holds must do this.  Every wait has an end."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from split_core.errors import LinkError
from split_core.transport import TRANSPORTS
from split_core.transport.base import Channel, Listener, Transport

LIMIT_S = 10.0
Value = TypeVar("Value")


@dataclass
class Room:
    """A transport whose ends are closed when the test is over."""

    name: str
    transport: Transport
    stack: ExitStack
    names: Iterator[int] = field(default_factory=itertools.count)

    def listen(self, address: str = "") -> Listener:
        listener = self.transport.listen(address or self.any_address())
        self.stack.callback(listener.close)
        return listener

    def connect(self, address: str) -> Channel:
        channel = self.transport.connect(address)
        self.stack.callback(channel.close)
        return channel

    def pair(self) -> tuple[Channel, Listener]:
        listener = self.listen()
        return self.connect(listener.address), listener

    def any_address(self) -> str:
        return f"memory-{next(self.names)}" if self.name == "memory" else "tcp://127.0.0.1:0"

    def nobody(self) -> str:
        return "memory-nobody" if self.name == "memory" else "tcp://127.0.0.1:9"


@pytest.fixture(params=list(TRANSPORTS))
def room(request: pytest.FixtureRequest) -> Iterator[Room]:
    with ExitStack() as stack:
        yield Room(request.param, TRANSPORTS.load(request.param)(), stack)


def soon(look: Callable[[], Value], wait: Callable[[float], None] = lambda _: None) -> Value:
    """What `look` gives once it gives something."""
    give_up = time.monotonic() + LIMIT_S
    while time.monotonic() < give_up:
        value = look()
        if value:
            return value
        wait(0.05)
    raise AssertionError(f"nothing within {LIMIT_S} s")


def say(channel: Channel, frames: list[bytes]) -> None:
    soon(lambda: channel.send(frames), channel.wait)


def hear(end: Channel) -> list[bytes]:
    return soon(end.receive, end.wait)  # type: ignore[arg-type]


def hear_at(listener: Listener) -> tuple[bytes, list[bytes]]:
    return soon(listener.receive, listener.wait)  # type: ignore[arg-type]


def test_a_message_goes_there_and_its_answer_comes_back(room: Room) -> None:
    channel, listener = room.pair()
    say(channel, [b"ask"])
    peer, frames = hear_at(listener)
    assert frames == [b"ask"]
    assert listener.send(peer, [b"answer"])
    assert hear(channel) == [b"answer"]


@pytest.mark.parametrize(
    "frames",
    [
        [b"h", b"", b"tail"],
        [b"h", bytes(range(256)) * 2000],
        [bytes([i]) for i in range(9)],
        [b"h", memoryview(b"view")],
    ],
    ids=["an empty frame", "half a megabyte", "nine frames", "a view"],
)
def test_all_frames_arrive_as_they_were(room: Room, frames: list[bytes]) -> None:
    channel, listener = room.pair()
    say(channel, frames)
    peer, arrived = hear_at(listener)
    assert [bytes(frame) for frame in frames] == arrived
    assert listener.send(peer, frames)
    assert hear(channel) == arrived


def test_messages_of_one_device_stay_in_order(room: Room) -> None:
    channel, listener = room.pair()
    for number in range(12):
        say(channel, [bytes([number])])
    assert [hear_at(listener)[1] for _ in range(12)] == [[bytes([number])] for number in range(12)]


def test_each_device_gets_its_own_answers(room: Room) -> None:
    listener = room.listen()
    channels = [room.connect(listener.address) for _ in range(3)]
    for number, channel in enumerate(channels):
        say(channel, [bytes([number])])
    for peer, frames in [hear_at(listener) for _ in channels]:
        assert listener.send(peer, [b"to", *frames])
    assert [hear(channel) for channel in channels] == [[b"to", bytes([number])] for number in range(3)]


def test_a_send_to_nobody_is_lost_at_once_and_keeps_nothing_waiting(room: Room) -> None:
    channel = room.connect(room.nobody())
    started = time.monotonic()
    for _ in range(200):
        channel.send([b"h", bytes(10_000)])
    assert channel.receive() is None
    assert time.monotonic() - started < 2.0


def test_a_send_to_nobody_says_so(room: Room) -> None:
    if room.name == "shaped":
        pytest.skip("the relay is there even when the worker is not, and takes what it can")
    assert not room.connect(room.nobody()).send([b"h"])


def test_an_answer_to_somebody_unknown_says_so(room: Room) -> None:
    assert not room.listen().send(b"never-seen", [b"answer"])


def test_a_flood_is_refused_rather_than_kept(room: Room) -> None:
    channel, listener = room.pair()
    say(channel, [b"first"])
    hear_at(listener)
    started = time.monotonic()
    sent = sum(channel.send([b"h", bytes(200_000)]) for _ in range(2000))
    assert sent < 2000
    assert time.monotonic() - started < 5.0


def test_nothing_to_receive_is_told_at_once(room: Room) -> None:
    channel, listener = room.pair()
    assert channel.receive() is None
    assert listener.receive() is None


def test_a_wake_before_the_wait_ends_it(room: Room) -> None:
    for end in room.pair():
        end.wake()
        started = time.monotonic()
        end.wait(LIMIT_S)
        assert time.monotonic() - started < LIMIT_S / 2


def test_a_wake_from_another_thread_ends_a_wait(room: Room) -> None:
    for end in room.pair():
        woken = threading.Timer(0.05, end.wake)
        woken.start()
        started = time.monotonic()
        end.wait(LIMIT_S)
        assert time.monotonic() - started < LIMIT_S / 2
        woken.join()


def test_many_wakes_count_as_one_and_never_block(room: Room) -> None:
    channel, _ = room.pair()
    for _ in range(20_000):
        channel.wake()
    channel.wait(LIMIT_S)
    assert channel.receive() is None


def test_a_wait_without_news_ends_by_itself(room: Room) -> None:
    channel, _ = room.pair()
    started = time.monotonic()
    channel.wait(0.02)
    assert time.monotonic() - started < LIMIT_S / 2


def test_a_message_ends_a_wait(room: Room) -> None:
    channel, listener = room.pair()
    say(channel, [b"x"])
    started = time.monotonic()
    listener.wait(LIMIT_S)
    assert time.monotonic() - started < LIMIT_S / 2
    assert hear_at(listener)[1] == [b"x"]


def test_two_listeners_cannot_have_one_address(room: Room) -> None:
    address = room.listen().address
    with pytest.raises(LinkError):
        room.transport.listen(address)


def test_port_zero_gives_an_address_that_can_be_used_again(room: Room) -> None:
    listener = room.listen()
    assert not listener.address.endswith(":0")
    listener.close()
    assert room.listen(listener.address).address == listener.address


def test_closing_twice_does_no_harm(room: Room) -> None:
    channel, listener = room.pair()
    for end in (channel, channel, listener, listener):
        end.close()
    assert room.listen(listener.address).address == listener.address


def test_closing_does_not_wait_for_what_was_not_sent(room: Room) -> None:
    channel, _ = room.pair()
    for _ in range(16):
        channel.send([b"h", bytes(200_000)])
    started = time.monotonic()
    channel.close()
    assert time.monotonic() - started < 5.0


def test_a_device_finds_a_worker_that_comes_back(room: Room) -> None:
    channel, listener = room.pair()
    say(channel, [b"before"])
    hear_at(listener)
    address = listener.address
    listener.close()
    back = room.listen(address)

    def ask_again() -> tuple[bytes, list[bytes]] | None:
        channel.send([b"after"])
        back.wait(0.05)
        return back.receive()

    assert soon(ask_again)[1] == [b"after"]
