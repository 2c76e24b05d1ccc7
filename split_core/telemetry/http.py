"""A tiny HTTP server for health and metrics, on a device or a worker.  GET only; no framework.

The paths are KServe's (`/v2/health/live`, `/v2/health/ready`, `/v2/models/<name>/ready`) and
Prometheus' (`/metrics`).  It runs in threads of its own and only calls the functions it was given.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry

from split_core.errors import ConfigError
from split_core.telemetry.metrics import exposition

STOP_S = 0.1  # how long `close` may take
CLIENT_TIMEOUT_S = 2.0  # somebody who connects and says nothing


@dataclass(frozen=True, slots=True)
class Page:
    """What to answer."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True)
class Health:
    """How one program is; each function is called from the server's threads, so it must be quick.

    Attributes:
        live: does the program's main loop turn?
        ready: does it take work?
        models: does it take work for this model?  False for one that it does not have.
        registry: its metrics.
    """

    live: Callable[[], bool]
    ready: Callable[[], bool]
    models: Callable[[str], bool]
    registry: CollectorRegistry

    def page(self, path: str) -> Page:
        """The answer to `GET path`."""
        parts = path.partition("?")[0].strip("/").split("/")
        if parts == ["metrics"]:
            return Page(200, CONTENT_TYPE_LATEST, exposition(self.registry))
        if parts == ["v2", "health", "live"]:
            return _answer("live", self.live())
        if parts == ["v2", "health", "ready"]:
            return _answer("ready", self.ready())
        if len(parts) == 4 and parts[:2] == ["v2", "models"] and parts[3] == "ready":
            return _answer("ready", self.ready() and self.models(parts[2]))
        return Page(404, "text/plain", b"there are: /v2/health/live /v2/health/ready /v2/models/NAME/ready /metrics\n")


def _answer(what: str, yes: bool) -> Page:
    return Page(200 if yes else 503, "application/json", json.dumps({what: yes}).encode())


class HealthServer:
    """Serves `health` at `address` ("host:port"; port 0 takes a free one) until `close`.

    Attributes:
        url: where it listens, with the real port.

    Raises:
        ConfigError: the address cannot be used.
    """

    def __init__(self, address: str, health: Health) -> None:
        host, colon, port = address.rpartition(":")
        if not colon or not port.isdigit() or int(port) > 65535:
            raise ConfigError(f"http: expected host:port, for example 127.0.0.1:8080, got {address!r}")
        try:
            self._server = _Server((host, int(port)), health)
        except OSError as error:
            raise ConfigError(f"http: cannot listen at {address} ({error.strerror or error})") from error
        self.url = f"http://{host}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(STOP_S,), name="health", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], health: Health) -> None:
        self.health = health
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """As of `TCPServer`: `HTTPServer` asks the DNS for its own name, which may take seconds."""
        TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = CLIENT_TIMEOUT_S

    def do_GET(self) -> None:
        """Answer one request."""
        page = self.server.health.page(self.path)
        self.send_response(page.status)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(page.body)))
        self.end_headers()
        self.wfile.write(page.body)

    def log_message(self, *_: object) -> None:
        """Probes come every few seconds: not worth a line."""
