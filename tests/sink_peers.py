"""For each kind of sink a real peer that can hang, die, refuse and come back."""

from __future__ import annotations

import json
import os
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.frames.outcomes import Outcome
from tests.mqtt_broker import Broker

SLOW_S = 0.01
PATIENCE_S = 20.0


def outcome(seq: int, **changes: Any) -> Outcome:
    usual = {"label": seq % 3, "name": "cat", "confidence": 0.9, "exit": 1, "where": "edge", "degraded": ""}
    return Outcome(seq, **{**usual, "latency_ms": 5.0, "late": False, "camera": "door", **changes})


def until(condition, what: str) -> None:
    """Return once it is so."""
    end_at_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end_at_s, what
        time.sleep(0.005)


class FilePeer:
    """A file; a pipe without a reader is one that hangs."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "outcomes.jsonl"
        self.options: dict[str, Any] = {"path": str(self._path)}
        self._pipe = -1

    def hang(self) -> None:
        os.mkfifo(self._path)

    def die(self) -> None:
        self._path.mkdir()

    refuse = die

    def slow(self) -> None:
        """A file is not; whoever writes to a pipe goes as fast as its reader."""

    def heal(self) -> None:
        if self._path.is_fifo():
            self._pipe = os.open(self._path, os.O_RDWR | os.O_NONBLOCK)
        elif self._path.is_dir():
            self._path.rmdir()

    def got(self) -> list[int]:
        if self._pipe >= 0:
            return [json.loads(line)["seq"] for line in os.read(self._pipe, 1 << 20).splitlines()]
        return [json.loads(line)["seq"] for line in self._path.read_text().splitlines()] if self._path.is_file() else []

    def end(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)


class FunctionPeer:
    """A Python function."""

    def __init__(self, _: Path) -> None:
        self.options: dict[str, Any] = {"function": self._take}
        self._got: list[int] = []
        self._go_on, self._fails, self._pause_s = threading.Event(), False, 0.0
        self._go_on.set()

    def _take(self, outcome: Outcome) -> None:
        assert self._go_on.wait(60.0)
        time.sleep(self._pause_s)
        if self._fails:
            raise RuntimeError("this function fails\nand says so in two lines")
        self._got.append(outcome.seq)

    def hang(self) -> None:
        self._go_on.clear()

    def die(self) -> None:
        self._fails = True

    refuse = die

    def slow(self) -> None:
        self._pause_s = SLOW_S

    def heal(self) -> None:
        self._fails = False
        self._go_on.set()

    def got(self) -> list[int]:
        return list(self._got)

    def end(self) -> None:
        self._go_on.set()


class BrokerPeer:
    """An MQTT broker."""

    def __init__(self, _: Path) -> None:
        pytest.importorskip("paho.mqtt")
        self.broker = Broker()
        self.options: dict[str, Any] = {"address": self.broker.address}

    def hang(self) -> None:
        self.broker.go_on.clear()

    def die(self) -> None:
        self.broker.stop()

    def refuse(self) -> None:
        self.broker.code = 5

    def slow(self) -> None:
        """The network is never as fast as the queue is filled."""

    def heal(self) -> None:
        self.broker.code = 0
        if not self.broker._thread.is_alive():
            self.broker.start()
        self.broker.go_on.set()

    def got(self) -> list[int]:
        return [json.loads(m.payload)["seq"] for m in self.broker.published if m.topic == "offramp/door/outcome"]

    def end(self) -> None:
        self.broker.end()


class WebPeer:
    """A web server.

    Attributes:
        posts: (status, headers, body) of each post, in order.
        script: statuses and headers of the next answers; then 200.  A status below 100 is no answer: so many of its
            bytes, and the end of the connection.
        tls: when it is given, connections are encrypted.
    """

    def __init__(self, _: Path = Path(), tls: ssl.SSLContext | None = None) -> None:
        self.posts: list[tuple[int, dict[str, str], Any]] = []
        self.script: list[tuple[int, dict[str, str]]] = []
        self.status, self.pause_s, self.go_on = 200, 0.0, threading.Event()
        self.connections, self._tls = 0, tls
        self.go_on.set()
        self._open(0)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}/hook"
        self.options: dict[str, Any] = {"url": self.url, "linger_s": 0.05}

    def _open(self, port: int) -> None:
        self._server = Server(("127.0.0.1", port), Handler)
        self._server.peer, self.port = self, self._server.server_port
        if self._tls:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def hang(self) -> None:
        self.go_on.clear()

    def die(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._server = None

    def refuse(self) -> None:
        self.status = 403

    def slow(self) -> None:
        self.pause_s = SLOW_S

    def heal(self) -> None:
        self.status = 200
        if self._server is None:
            self._open(self.port)
        self.go_on.set()

    def got(self) -> list[int]:
        taken = [body if isinstance(body, list) else [body] for status, _, body in self.posts if status == 200]
        return [one["seq"] for body in taken for one in body]

    def end(self) -> None:
        self.go_on.set()
        if self._server:
            self.die()


class Server(ThreadingHTTPServer):
    daemon_threads, block_on_close = True, False
    peer: WebPeer

    def handle_error(self, *_: Any) -> None:
        """Whoever hangs up on us is no error."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.peer.connections += 1

    def do_POST(self) -> None:
        peer = self.server.peer
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert peer.go_on.wait(60.0)
        time.sleep(peer.pause_s)
        status, headers = peer.script.pop(0) if peer.script else (peer.status, {})
        if status < 100:
            peer.posts.append((status, dict(self.headers), body))
            self.wfile.write(b"HTTP/1.1 200 OK"[:status])
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in {"Content-Length": "2", **headers}.items():
            self.send_header(name, value)
        peer.posts.append((status, dict(self.headers), body))  # first: whoever has the answer may look at once
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


PEERS: dict[str, Any] = {"jsonl": FilePeer, "mqtt": BrokerPeer, "webhook": WebPeer, "callback": FunctionPeer}
