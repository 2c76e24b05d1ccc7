"""A camera that speaks HTTP/MJPEG, and what can happen to one: it dies, freezes, changes its size, or sends garbage."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from PIL import Image

FPS = 25.0


class MjpegCamera:
    """Serves pictures at a port of its own, or at the same one again.

    Attributes:
        size: width and height of the pictures; may be changed while it serves.
        frozen: while set, nothing is sent any more, and connections stay open.
        garbage: while set, what is sent is no picture.
        clients: connections so far.
    """

    def __init__(self, port: int = 0) -> None:
        self.size, self.clients = (64, 48), 0
        self.frozen, self.garbage, self._ending = threading.Event(), threading.Event(), threading.Event()
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera.clients += 1
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                try:
                    for part in camera._parts():
                        self.wfile.write(part)
                except OSError:
                    return  # the other side has gone

            def log_message(self, *_: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self.address = f"http://127.0.0.1:{self.port}/video.mjpg"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def _parts(self) -> Iterator[bytes]:
        number = 0
        while not self._ending.wait(1.0 / FPS):
            if self.frozen.is_set():
                continue
            picture = self._picture(number)
            number += 1
            yield (
                b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(picture) + picture + b"\r\n"
            )

    def _picture(self, number: int) -> bytes:
        if self.garbage.is_set():
            return np.random.default_rng(number).bytes(2000)
        width, height = self.size
        file = io.BytesIO()
        Image.fromarray(np.full((height, width, 3), (number * 5) % 256, np.uint8)).save(file, "JPEG")
        return file.getvalue()

    def die(self) -> None:
        """All connections end, and nobody listens any more."""
        self._ending.set()
        self._server.shutdown()
        self._server.cut()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    block_on_close = False

    def __init__(self, *given: object) -> None:
        self._open: list[socket.socket] = []
        super().__init__(*given)  # type: ignore[arg-type]

    def process_request(self, request: object, client_address: object) -> None:
        assert isinstance(request, socket.socket)
        self._open.append(request)
        super().process_request(request, client_address)

    def cut(self) -> None:
        """End what is open, as when a process is killed."""
        for one in self._open:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


@contextmanager
def mjpeg_camera(port: int = 0) -> Iterator[MjpegCamera]:
    """One that is gone at the end."""
    camera = MjpegCamera(port)
    try:
        yield camera
    finally:
        camera.die()
