"""A broker that speaks as much of MQTT 3.1.1 as a publisher needs, and misbehaves when it is told to."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass

CONNECT, PUBLISH, PUBREL, PINGREQ, DISCONNECT = 1, 3, 6, 12, 14


@dataclass(frozen=True)
class Published:
    """One message that was confirmed."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


class Broker:
    """Listens on a port of its own from the beginning on; `stop` and `start` are as if its process did.

    Args:
        tls: when it is given, connections are encrypted.

    Attributes:
        published: what clients have published, wills included, in order of arrival.
        go_on: while it is cleared the broker says nothing and reads nothing.
        code: of its answer to a connection; 0 accepts.
        users: (name, password) of those who connected.
        arrived: set whenever something was published.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.published: list[Published] = []
        self.users: list[tuple[str, str]] = []
        self.go_on, self.arrived, self.code, self.connections = threading.Event(), threading.Event(), 0, 0
        self.go_on.set()
        self._clients: list[socket.socket] = []
        self._open("127.0.0.1", 0)

    @property
    def address(self) -> str:
        return f"mqtt{'s' if self._tls else ''}://127.0.0.1:{self._port}"

    def start(self) -> None:
        self._open("127.0.0.1", self._port)

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10.0)
        self.hang_up()

    def hang_up(self) -> None:
        """Every connection breaks."""
        while self._clients:
            with self._clients.pop() as client, suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        self.go_on.set()
        with suppress(OSError):
            self.stop()

    def _open(self, host: str, port: int) -> None:
        self._listener = socket.create_server((host, port))
        self._port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, args=(self._listener,), daemon=True)
        self._thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                if self._tls:
                    client = self._tls.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
                self._clients.append(client)
                self.connections += 1
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        will: Published | None = None
        with suppress(OSError, EOFError), client, client.makefile("rb") as stream:
            while True:
                first, body = packet(stream)
                assert self.go_on.wait(60.0)
                if first >> 4 == CONNECT:
                    will = self._greet(client, body)
                elif first >> 4 == PUBLISH:
                    self._take(client, first, body)
                elif first >> 4 == PUBREL:
                    client.sendall(b"\x70\x02" + body)
                elif first >> 4 == PINGREQ:
                    client.sendall(b"\xd0\x00")
                elif first >> 4 == DISCONNECT:
                    will = None
                    return
        if will:
            self._note(will)

    def _greet(self, client: socket.socket, body: bytes) -> Published | None:
        flags, fields = body[7], list(strings(body[10:]))
        will = None
        if flags & 4:
            will = Published(fields[1].decode(), fields[2], flags >> 3 & 3, bool(flags & 32))
        if flags & 128:
            self.users.append((fields[3 if will else 1].decode(), fields[-1].decode() if flags & 64 else ""))
        client.sendall(bytes((0x20, 2, 0, self.code)))
        return will

    def _take(self, client: socket.socket, first: int, body: bytes) -> None:
        qos, (topic, *_) = first >> 1 & 3, strings(body)
        rest = body[2 + len(topic) :]
        number = rest[:2] if qos else b""
        self._note(Published(topic.decode(), rest[len(number) :], qos, bool(first & 1)))
        if qos:
            client.sendall(bytes((0x40 if qos == 1 else 0x50, 2)) + number)

    def _note(self, message: Published) -> None:
        self.published.append(message)
        self.arrived.set()


def packet(stream) -> tuple[int, bytes]:
    """First byte and body of the next packet."""
    first, length, shift = exactly(stream, 1)[0], 0, 0
    while True:
        (byte,) = exactly(stream, 1)
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return first, exactly(stream, length)


def exactly(stream, count: int) -> bytes:
    found = stream.read(count)
    if len(found) < count:
        raise EOFError
    return found


def strings(body: bytes):
    """Texts with their length before them, as long as there are whole ones."""
    while len(body) >= 2 and len(body) >= 2 + (size := struct.unpack("!H", body[:2])[0]):
        yield body[2 : 2 + size]
        body = body[2 + size :]
