"""A web server that serves a folder as any would, and can be told to misbehave."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class FolderServer:
    """Serves `folder` with ETags and ranges.

    Attributes:
        url: of the folder.
        asked: path, range and status of every request so far.
        cut_at: a path to the number of bytes after which its next transfer breaks off.
        instead: a path to what is served in its place.
        redirect: a path to where it leads.
        ranges: are they understood?
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, list[tuple[str, str, int]]()
        self.cut_at: dict[str, int] = {}
        self.instead: dict[str, bytes] = {}
        self.redirect: dict[str, str] = {}
        self.ranges = True
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def paths(self) -> list[str]:
        return [path for path, _, _ in self.asked]

    def _handler(self) -> Callable[..., BaseHTTPRequestHandler]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.lstrip("/")
                if path in site.redirect:
                    return self.say(path, 302, b"", Location=site.redirect[path])
                file = site.folder / path
                if path not in site.instead and not file.is_file():
                    return self.say(path, 404, b"")
                data = site.instead.get(path) or file.read_bytes()
                etag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
                if self.headers.get("If-None-Match") == etag:
                    return self.say(path, 304, b"")
                asked = self.headers.get("Range", "")
                begin = int(asked.removeprefix("bytes=").rstrip("-")) if asked and site.ranges else 0
                if begin and begin >= len(data):
                    return self.say(path, 416, b"")
                headers = {"ETag": etag}
                if begin:
                    headers["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
                return self.say(path, 206 if begin else 200, data[begin:], **headers)

            def say(self, path: str, status: int, data: bytes, **headers: Any) -> None:
                site.asked.append((path, self.headers.get("Range", ""), status))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                cut = site.cut_at.pop(path, None)
                self.wfile.write(data[:cut])
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        return Handler
