"""A real RTSP server that is killed, frozen, and comes back with pictures of another size."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_runtime.sources.live import LiveFeed
from tests.edge_runtime.test_live import camera_feed, shape_of_next, until

SERVER = Path(__file__).parent.parent / "rtsp_server.py"
BINDINGS = (
    "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstRtspServer', '1.0'); "
    "from gi.repository import Gst, GstRtspServer; Gst.init(None); "
    "assert Gst.ElementFactory.find('x264enc') and Gst.ElementFactory.find('rtph264pay')"
)


def python_with_gstreamer() -> str:
    """An interpreter that can run the server; empty when there is none."""
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            done = subprocess.run([python, "-c", BINDINGS], capture_output=True, timeout=60, check=False)
        except OSError:
            continue
        if done.returncode == 0:
            return python
    return ""


@pytest.fixture(scope="module")
def python() -> str:
    found = python_with_gstreamer()
    if not found:
        pytest.skip("needs GStreamer's RTSP server with its Python bindings and x264enc")
    return found


@pytest.fixture
def serve(python: str):
    processes: list[subprocess.Popen[str]] = []

    def start(port: int, width: int, height: int) -> subprocess.Popen[str]:
        words = [python, str(SERVER), str(port), str(width), str(height)]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize("manner", ["kill", "freeze"])
def test_it_is_found_again_after_it_was_killed_or_frozen(manner: str, serve: Callable[..., subprocess.Popen[str]]):
    port = free_port()
    server = serve(port, 320, 240)
    feed, said = camera_feed(f"rtsp://127.0.0.1:{port}/camera", watchdog_s=1.5)
    feed.start()
    try:
        until(lambda: feed.slot.offered > 5)
        server.send_signal(signal.SIGKILL if manner == "kill" else signal.SIGSTOP)
        until(lambda: not feed.sees)
        if manner == "kill":
            server.wait()
            serve(port, 640, 480)
        else:
            server.send_signal(signal.SIGCONT)
        until(lambda: feed.sees)
        seen = feed.slot.offered
        until(lambda: feed.slot.offered > seen + 5)
        size = shape_of_next_soon(feed)
    finally:
        feed.stop()
    assert size == ((480, 640, 3) if manner == "kill" else (240, 320, 3))
    assert said[0] == "pictures come"
    assert said[1].startswith("lost: ")
    assert said[-1].startswith("pictures come again, after ")


def shape_of_next_soon(feed: LiveFeed) -> tuple[int, ...]:
    found: list[tuple[int, ...]] = []

    def came() -> bool:
        shape = shape_of_next(feed)
        if shape:
            found.append(shape)
        return bool(found)

    until(came)
    return found[0]


def test_a_camera_that_is_absent_at_first_is_waited_for(serve: Callable[..., subprocess.Popen[str]]):
    port = free_port()
    feed, said = camera_feed(f"rtsp://127.0.0.1:{port}/camera")
    feed.start()
    try:
        until(lambda: feed.connections > 2)
        serve(port, 320, 240)
        until(lambda: feed.sees)
    finally:
        feed.stop()
    assert said[0].startswith(f"lost: rtsp://127.0.0.1:{port}/camera: ")
    assert len([line for line in said if line.startswith("lost")]) == 1
