"""An RTSP camera by GStreamer, as a process of its own: python rtsp_server.py PORT WIDTH HEIGHT; says "ready" at once.

Runs under whichever Python has GStreamer's bindings, often the system's only; knows nothing of Offramp.
"""

from __future__ import annotations

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

PIPELINE = (
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,width={width},height={height},framerate=20/1 ! "
    "videoconvert ! x264enc tune=zerolatency key-int-max=10 speed-preset=ultrafast ! rtph264pay name=pay0 pt=96 )"
)


def main() -> None:
    port, width, height = sys.argv[1:4]
    Gst.init(None)
    server, factory = GstRtspServer.RTSPServer(), GstRtspServer.RTSPMediaFactory()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory.set_launch(PIPELINE.format(width=width, height=height))
    factory.set_shared(True)
    server.get_mount_points().add_factory("/camera", factory)
    if not server.attach(None):
        sys.exit(f"port {port} is taken")
    print("ready", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
