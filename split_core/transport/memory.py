"""Both ends in one process, for tests: no threads, no time, and a hook that decides each message's fate."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable

from split_core.errors import LinkError
from split_core.transport.base import Channel, Frames

MAX_QUEUED = 64


class MemoryTransport:
    """An address book of listeners.

    Args:
        deliver: called with `(queue append, message)` for every message in either direction; the default
            delivers at once.  A test may deliver later, twice, in another order, or never.
    """

    def __init__(self, deliver: Callable[[Callable[[], None]], None] | None = None) -> None:
        self._listeners: dict[str, MemoryListener] = {}
        self._deliver = deliver or (lambda put: put())
        self._names = itertools.count(1)

    def listen(self, address: str) -> MemoryListener:
        """See `Transport.listen`."""
        if address in self._listeners:
            raise LinkError(f"{address}: already in use")
        listener = MemoryListener(address, self)
        self._listeners[address] = listener
        return listener

    def connect(self, address: str) -> MemoryChannel:
        """See `Transport.connect`."""
        return MemoryChannel(address, f"peer-{next(self._names)}".encode(), self)

    def to_listener(self, address: str, peer: bytes, channel: MemoryChannel, frames: list[bytes]) -> bool:
        """Carry a message to whoever listens at `address`."""
        listener = self._listeners.get(address)
        if listener is None or len(listener.inbox) >= MAX_QUEUED:
            return False
        listener.peers[peer] = channel
        self._deliver(lambda: listener.inbox.append((peer, frames)))
        return True

    def to_channel(self, channel: MemoryChannel, frames: list[bytes]) -> bool:
        """Carry a message back to a device."""
        if channel.closed or len(channel.inbox) >= MAX_QUEUED:
            return False
        self._deliver(lambda: channel.inbox.append(frames))
        return True

    def forget(self, address: str) -> None:
        """The listener is gone."""
        self._listeners.pop(address, None)


class MemoryListener:
    """See `Listener`."""

    def __init__(self, address: str, transport: MemoryTransport) -> None:
        self.address = address
        self.inbox: deque[tuple[bytes, list[bytes]]] = deque()
        self.peers: dict[bytes, MemoryChannel] = {}
        self._transport = transport

    def receive(self) -> tuple[bytes, list[bytes]] | None:
        """See `Listener.receive`."""
        return self.inbox.popleft() if self.inbox else None

    def send(self, peer: bytes, frames: Frames) -> bool:
        """See `Listener.send`."""
        channel = self.peers.get(peer)
        return channel is not None and self._transport.to_channel(channel, [bytes(f) for f in frames])

    def wait(self, timeout_s: float) -> None:
        """Nothing can arrive while the only thread waits."""

    def wake(self) -> None:
        """Nobody waits."""

    def close(self) -> None:
        """See `Listener.close`."""
        self._transport.forget(self.address)


class MemoryChannel:
    """See `Channel`."""

    def __init__(self, address: str, name: bytes, transport: MemoryTransport) -> None:
        self._address, self._name, self._transport = address, name, transport
        self.inbox: deque[list[bytes]] = deque()
        self.closed = False

    def send(self, frames: Frames) -> bool:
        """See `Channel.send`."""
        copies = [bytes(frame) for frame in frames]
        return self._transport.to_listener(self._address, self._name, self, copies)

    def receive(self) -> list[bytes] | None:
        """See `Channel.receive`."""
        return self.inbox.popleft() if self.inbox else None

    def wait(self, timeout_s: float, *others: Channel) -> None:
        """Nothing can arrive while the only thread waits."""

    def wake(self) -> None:
        """Nobody waits."""

    def close(self) -> None:
        """See `Channel.close`."""
        self.closed = True
