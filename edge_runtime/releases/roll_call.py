"""Asks workers whether they have a bundle, over connections of its own: those in use are not disturbed by a no."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack

from edge_runtime.config import LinkSection
from edge_runtime.opening import open_channels
from split_core import wire
from split_core.errors import WireError
from split_core.transport.base import Channel

PATIENCE_S = 2.0  # with a worker that does not answer
STEP_S = 0.05


def answers(channels: Mapping[str, Channel], hello: wire.Hello, clock: Callable[[], float]) -> dict[str, bool | None]:
    """By address: does the worker have the bundle of `hello`?  None where there was no answer in time.

    Args:
        channels: by address; nobody else uses them.
        hello: of the device that will run it.
        clock: monotonic seconds.
    """
    said: dict[str, bool | None] = dict.fromkeys(channels)
    unsent, until_s = set(channels), clock() + PATIENCE_S
    while None in said.values() and clock() < until_s:
        for address in [address for address, answer in said.items() if answer is None]:
            channel = channels[address]
            if address in unsent and channel.send(wire.encode(hello)):
                unsent.discard(address)
            said[address] = _answer(channel, hello)
            if said[address] is None:
                channel.wait(STEP_S)
    return said


def _answer(channel: Channel, hello: wire.Hello) -> bool | None:
    frames = channel.receive()
    try:
        message = wire.decode(frames) if frames else None
    except WireError:
        return None
    if isinstance(message, wire.Welcome):
        return message.bundle_id == hello.bundle_id
    # Too busy to greet, or about to stop, is no answer to this question.
    return False if isinstance(message, wire.Refusal) and message.code in ("mismatch", "version") else None


def roll_call(link: LinkSection, hello: wire.Hello) -> dict[str, bool | None]:
    """`answers` of the configured workers; empty without any.

    Raises:
        ConfigError, LinkError: keys or an address are none any more.
    """
    if not link.address:
        return {}
    with ExitStack() as closing:
        return answers(open_channels(link, closing), hello, time.monotonic)
