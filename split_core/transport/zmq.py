"""ZeroMQ DEALER/ROUTER.  The one file that opens ZeroMQ sockets.

`IMMEDIATE` and `DONTWAIT` make a send to nobody fail at once instead of filling a queue; heartbeats find
a peer that froze; `LINGER=0` lets a process end.
"""

from __future__ import annotations

import math
import re
import socket
from contextlib import suppress
from typing import Any

import zmq
from zmq.auth.thread import ThreadAuthenticator

from split_core.errors import LinkError
from split_core.transport.base import Channel, Frames
from split_core.transport.keys import Curve
from split_core.wire import MAX_HEADER_BYTES, MAX_TENSOR_BYTES

DEVICE_QUEUE, WORKER_QUEUE = 16, 256  # messages per peer
HEARTBEAT_MS, SILENCE_MS = 250, 1000
RECONNECT_MS, RECONNECT_MAX_MS, HANDSHAKE_MS = 50, 250, 1000
MAPPED_IPV4 = re.compile(r"\[::ffff:([0-9.]+)\]")


class ZmqTransport:
    """Makes ZeroMQ ends.

    Args:
        curve: keys; None sends everything in the clear, for a network that is safe by other means.
    """

    def __init__(self, curve: Curve | None = None) -> None:
        self._curve = curve

    def listen(self, address: str) -> ZmqListener:
        """See `Transport.listen`."""
        _check_port(address)
        return ZmqListener(address, self._curve)

    def connect(self, address: str) -> ZmqChannel:
        """See `Transport.connect`."""
        _check_port(address)
        if self._curve and self._curve.server is None:
            raise LinkError(f"{address}: CURVE needs the worker's public key (link.server_key)")
        return ZmqChannel(address, self._curve)


def _check_port(address: str) -> None:
    """Guard against libzmq, which takes a port modulo 65536: a typing error would end up somewhere else."""
    port = address.rpartition(":")[2]
    if port.isdigit() and int(port) > 65_535:
        raise LinkError(f"{address}: ports go up to 65535; expected tcp://host:port")


class _End:
    """A socket with a way to end its `wait` from another thread."""

    def __init__(self, kind: int, queue: int) -> None:
        self._context = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(kind)
        for option, value in (
            (zmq.LINGER, 0),
            (zmq.SNDHWM, queue),
            (zmq.RCVHWM, queue),
            (zmq.MAXMSGSIZE, MAX_TENSOR_BYTES + MAX_HEADER_BYTES),
            (zmq.HEARTBEAT_IVL, HEARTBEAT_MS),
            (zmq.HEARTBEAT_TIMEOUT, SILENCE_MS),
            (zmq.HANDSHAKE_IVL, HANDSHAKE_MS),
            (zmq.IPV6, 1),
        ):
            self._socket.setsockopt(option, value)
        self._ear, self._mouth = socket.socketpair()
        self._ear.setblocking(False)
        self._mouth.setblocking(False)
        self._sources: list[Any] = [(self._socket, zmq.POLLIN), (self._ear.fileno(), zmq.POLLIN)]

    def wait(self, timeout_s: float, *others: Channel) -> None:
        """See `Channel.wait`; rounds up to whole milliseconds."""
        sources = [*self._sources, *((end._socket, zmq.POLLIN) for end in others if isinstance(end, _End))]
        ready = zmq.zmq_poll(sources, max(0, math.ceil(timeout_s * 1000.0)))
        if any(isinstance(source, int) for source, _ in ready):
            with suppress(BlockingIOError):
                self._ear.recv(4096)

    def wake(self) -> None:
        """See `Channel.wake`."""
        with suppress(OSError):  # full: a wake is pending already; closed: nobody waits
            self._mouth.send(b"w")

    def _receive(self) -> list[bytes] | None:
        # Asking first: an exception for "nothing there", once per message, costs more than both calls.
        events: Any = self._socket.get(zmq.EVENTS)
        if not events & zmq.POLLIN:
            return None
        return self._socket.recv_multipart(zmq.DONTWAIT)

    def _send(self, frames: Frames) -> bool:
        try:
            # Copied: encryption copies anyway, and copy=False is no faster up to 1 MB; it would also keep a
            # thread of pyzmq's busy giving buffers back.
            self._socket.send_multipart(frames, zmq.DONTWAIT)
        except zmq.ZMQError:  # no peer, no room, or the peer is gone: the caller's ledger knows what to do
            return False
        return True

    def close(self) -> None:
        """See `Channel.close`."""
        self._socket.close(linger=0)
        self._context.term()
        self._ear.close()
        self._mouth.close()


class ZmqChannel(_End):
    """A device's DEALER; see `Channel`."""

    def __init__(self, address: str, curve: Curve | None) -> None:
        super().__init__(zmq.DEALER, DEVICE_QUEUE)
        for option, value in (
            (zmq.IMMEDIATE, 1),
            (zmq.RECONNECT_IVL, RECONNECT_MS),
            (zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS),
            (zmq.CONNECT_TIMEOUT, HANDSHAKE_MS),
        ):
            self._socket.setsockopt(option, value)
        if curve and curve.server:
            self._socket.curve_publickey = curve.public
            self._socket.curve_secretkey = curve.secret
            self._socket.curve_serverkey = curve.server
        try:
            self._socket.connect(address)
        except zmq.ZMQError as error:
            self.close()
            raise LinkError(f"{address}: not an address to connect to ({error}); expected tcp://host:port") from error

    def send(self, frames: Frames) -> bool:
        """See `Channel.send`."""
        return self._send(frames)

    def receive(self) -> list[bytes] | None:
        """See `Channel.receive`."""
        return self._receive()


class ZmqListener(_End):
    """A worker's ROUTER; see `Listener`."""

    def __init__(self, address: str, curve: Curve | None) -> None:
        super().__init__(zmq.ROUTER, WORKER_QUEUE)
        self._authenticator: ThreadAuthenticator | None = None
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)  # a vanished peer is an error, not a silent drop
        if curve:
            self._guard(curve)
        try:
            self._socket.bind(address)
        except zmq.ZMQError as error:
            self.close()
            raise LinkError(
                f"{address}: cannot listen there ({error}); expected tcp://host:port, port 0 is any"
            ) from error
        # With IPV6 on, libzmq spells an IPv4 address as a mapped one, which other programs do not connect to.
        self.address = MAPPED_IPV4.sub(r"\1", self._socket.getsockopt_string(zmq.LAST_ENDPOINT))

    def _guard(self, curve: Curve) -> None:
        self._socket.curve_server = True
        self._socket.curve_publickey = curve.public
        self._socket.curve_secretkey = curve.secret
        if curve.clients is not None:
            self._authenticator = ThreadAuthenticator(self._context)
            self._authenticator.start()
            self._authenticator.configure_curve(domain="*", location=str(curve.clients))

    def receive(self) -> tuple[bytes, list[bytes]] | None:
        """See `Listener.receive`."""
        frames = self._receive()
        return None if frames is None else (frames[0], frames[1:])

    def send(self, peer: bytes, frames: Frames) -> bool:
        """See `Listener.send`."""
        return self._send([peer, *frames])

    def close(self) -> None:
        """See `Listener.close`."""
        if self._authenticator:
            self._authenticator.stop()
        super().close()
