"""A worse link, in user space and without root: rate, delay and black hole between a device and a worker.

A relay of TCP bytes, so encryption, heartbeats and reconnection are the real ones.  `Pipe` is the pure
part.  What it does not do: packet loss and slow start, which live below TCP (use network namespaces).
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from split_core.errors import LinkError
from split_core.transport.base import Channel, Frames, Listener
from split_core.transport.keys import Curve
from split_core.transport.zmq import ZmqTransport

CHUNK_BYTES = 16_384
MAX_BACKLOG_BYTES = 262_144  # what a router would buffer; after that the sender is not read from


@dataclass(frozen=True, slots=True)
class Link:
    """A link as it should behave, the same in both directions."""

    rate_mbit: float = 0.0  # 0 = as fast as the machine
    delay_ms: float = 0.0  # one way
    black_hole: bool = False  # nothing passes, nobody is told

    def __post_init__(self) -> None:
        if self.rate_mbit < 0 or self.delay_ms < 0:
            raise ValueError(f"rate and delay must not be negative, got {self.rate_mbit} and {self.delay_ms}")


class Pipe:
    """One direction of a link.  Pure: callers pass `now` in seconds."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.backlog_bytes = 0
        self._free_at = 0.0
        self._queue: deque[tuple[float, bytes, Sink]] = deque()

    def push(self, data: bytes, sink: Sink, now: float) -> None:
        """Take in bytes that shall come out at `sink`."""
        serialised_s = len(data) * 8 / (self.link.rate_mbit * 1e6) if self.link.rate_mbit else 0.0
        self._free_at = max(now, self._free_at) + serialised_s
        self._queue.append((self._free_at + self.link.delay_ms / 1e3, data, sink))
        self.backlog_bytes += len(data)

    def pop(self, now: float) -> tuple[bytes, Sink] | None:
        """The next bytes that are due, in order, or None."""
        if self.link.black_hole or not self._queue or self._queue[0][0] > now:
            return None
        _, data, sink = self._queue.popleft()
        self.backlog_bytes -= len(data)
        return data, sink

    def next_at(self) -> float | None:
        """When `pop` will have something; None when nothing is on the way."""
        return None if self.link.black_hole or not self._queue else self._queue[0][0]

    @property
    def full(self) -> bool:
        """Must the sender wait?"""
        return self.link.black_hole or self.backlog_bytes >= MAX_BACKLOG_BYTES


class Sink(Protocol):
    """Where bytes come out."""

    def put(self, data: bytes) -> None:
        """Send; empty bytes mean the other side has ended."""


class _Socket:
    """One end of one relayed connection."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection = connection
        self.peer: _Socket | None = None
        self.open = True

    def put(self, data: bytes) -> None:
        """See `Sink.put`."""
        if not data:
            self.shut()
        elif self.open:
            try:
                self.connection.sendall(data)
            except OSError:
                self.shut()

    def shut(self) -> None:
        """Close this end."""
        if self.open:
            self.open = False
            self.connection.close()

    def fileno(self) -> int:
        """For select."""
        return self.connection.fileno()


class Relay:
    """Forwards connections from a port of its own to `upstream` ("host:port"), shaped.

    Args:
        upstream: where the worker listens; need not be there yet.
        link: how the link behaves; `link` may be set at any time, from any thread.
        port: to listen on; 0 takes a free one.
    """

    def __init__(
        self, upstream: str, link: Link, *, port: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        host, _, number = upstream.removeprefix("tcp://").rpartition(":")
        if not host or not number.isdigit():
            raise LinkError(f"{upstream}: expected tcp://host:port")
        self._upstream = (host, int(number))
        self._clock = clock
        try:
            self._server = socket.create_server(("127.0.0.1", port))
        except OSError as error:
            raise LinkError(f"tcp://127.0.0.1:{port}: cannot listen there ({error.strerror})") from error
        self.address = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        self._up, self._down = Pipe(link), Pipe(link)
        self._ends: dict[_Socket, Pipe] = {}
        self._ear, self._mouth = socket.socketpair()
        self._running = True

    @property
    def link(self) -> Link:
        """How the link behaves."""
        return self._up.link

    @link.setter
    def link(self, link: Link) -> None:
        self._up.link = self._down.link = link
        self._wake()

    def stop(self) -> None:
        """End `run`; from any thread."""
        self._running = False
        self._wake()

    def _wake(self) -> None:
        with suppress(OSError):  # it has ended already
            self._mouth.send(b"w")

    def run(self) -> None:
        """Relay until `stop`."""
        while self._running:
            self._step()
        for end in [*self._ends]:
            end.shut()
        for closing in (self._server, self._ear, self._mouth):
            closing.close()

    def _step(self) -> None:
        readable = [end for end, pipe in self._ends.items() if end.open and not pipe.full]
        accepts = [] if self.link.black_hole else [self._server]
        waiting: list[socket.socket | _Socket] = [self._ear, *accepts, *readable]
        ready, _, _ = select.select(waiting, [], [], self._patience_s())
        for source in ready:
            if source is self._ear:
                self._ear.recv(4096)
            elif source is self._server:
                self._accept()
            elif isinstance(source, _Socket):
                self._read(source)
        self._deliver()

    def _patience_s(self) -> float | None:
        moments = [at for at in (self._up.next_at(), self._down.next_at()) if at is not None]
        return max(0.0, min(moments) - self._clock()) if moments else None

    def _accept(self) -> None:
        connection, _ = self._server.accept()
        try:
            other = socket.create_connection(self._upstream, timeout=1.0)
        except OSError:  # no worker: the device sees its connection end, as it would without us
            connection.close()
            return
        other.settimeout(None)
        device, worker = _Socket(connection), _Socket(other)
        device.peer, worker.peer = worker, device
        self._ends[device], self._ends[worker] = self._up, self._down

    def _read(self, end: _Socket) -> None:
        data = b""
        with suppress(OSError):
            data = end.connection.recv(CHUNK_BYTES)
        assert end.peer is not None
        self._ends[end].push(data, end.peer, self._clock())
        if not data:
            end.shut()

    def _deliver(self) -> None:
        now = self._clock()
        for pipe in (self._up, self._down):
            while (due := pipe.pop(now)) is not None:
                due[1].put(due[0])
        for end in [end for end in self._ends if not end.open]:
            del self._ends[end]


class ShapedTransport:
    """ZeroMQ through a relay in this process.

    Args:
        curve: as for `ZmqTransport`.
        link: how the link behaves.
    """

    def __init__(self, curve: Curve | None = None, link: Link | None = None) -> None:
        self._inner = ZmqTransport(curve)
        self._link = link or Link()

    def listen(self, address: str) -> Listener:
        """See `Transport.listen`."""
        return self._inner.listen(address)

    def connect(self, address: str) -> ShapedChannel:
        """See `Transport.connect`."""
        relay = Relay(address, self._link)
        return ShapedChannel(self._inner.connect(relay.address), relay)


class ShapedChannel:
    """A device's end behind a relay; see `Channel`.  `shape` changes the link while it is in use."""

    def __init__(self, inner: Channel, relay: Relay) -> None:
        self._inner, self._relay = inner, relay
        self._thread = threading.Thread(target=relay.run, name="relay", daemon=True)
        self._thread.start()

    def shape(self, **changes: float | bool) -> None:
        """Change some of the link's properties: `shape(black_hole=True)`."""
        self._relay.link = replace(self._relay.link, **changes)  # type: ignore[arg-type]

    def send(self, frames: Frames) -> bool:
        """See `Channel.send`."""
        return self._inner.send(frames)

    def receive(self) -> list[bytes] | None:
        """See `Channel.receive`."""
        return self._inner.receive()

    def wait(self, timeout_s: float, *others: Channel) -> None:
        """See `Channel.wait`."""
        self._inner.wait(timeout_s, *(other._inner if isinstance(other, ShapedChannel) else other for other in others))

    def wake(self) -> None:
        """See `Channel.wake`."""
        self._inner.wake()

    def close(self) -> None:
        """See `Channel.close`."""
        self._inner.close()
        self._relay.stop()
        self._thread.join()
