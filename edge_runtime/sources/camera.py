"""Cameras, through PyAV: RTSP, HTTP (MJPEG and other streams), and V4L2 devices."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import av
import numpy as np

from edge_runtime.secret import text
from edge_runtime.sources.base import Pixels
from split_core.errors import ConfigError, SourceError, reason

USER = re.compile(r"(?<=://)[^/@]*@")
TRANSPORTS = ("tcp", "udp")
MOST_BROKEN = 100  # packets in a row: then the connection itself is


class CameraSource:
    """The pictures of a camera, as RGB, the newest as soon as FFmpeg has it.

    Args:
        address: `rtsp://...`, `http://...` or `/dev/video0`; `{env: NAME}` or `{file: PATH}` where there is a password
            in it.
        transport: "tcp" or "udp", of RTSP.
        size: `WIDTHxHEIGHT` that is asked of a device.
        rate: frames per second that are asked of a device.
        timeout_s: to connect, and between two packets.

    Attributes:
        skipped, problem: see `Skipping`; packets that cannot be decoded.

    Raises:
        ConfigError: an option cannot be meant.
    """

    def __init__(
        self, address: Any, transport: str = "tcp", size: str = "", rate: float = 0.0, timeout_s: float = 5.0
    ) -> None:
        self._address = text("source.options.address", address)
        self.shown = USER.sub("***@", self._address)
        if transport not in TRANSPORTS:
            raise ConfigError(f"source.options.transport: expected {' or '.join(TRANSPORTS)}, got {transport!r}")
        if size and not re.fullmatch(r"\d+x\d+", size):
            raise ConfigError(f"source.options.size: expected WIDTHxHEIGHT, got {size!r}")
        self._timeout_s, self._options = timeout_s, _options(self._address, transport, size, rate)
        self._format = "v4l2" if self._address.startswith("/dev/") else None
        self._pictures: Iterator[av.VideoFrame] | None = None
        self._picture: av.VideoFrame | None = None
        self.skipped, self.problem = 0, ""

    def grab(self) -> bool:
        """See `LiveSource.grab`."""
        if self._pictures is None:
            self._pictures = self._decode()
        try:
            self._picture = next(self._pictures, None)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise SourceError(f"{self.shown}: {self._why(error)}") from error
        return self._picture is not None

    def item(self) -> Pixels | None:
        """See `LiveSource.item`."""
        if self._picture is None:
            return None
        try:
            pixels: Pixels = np.ascontiguousarray(self._picture.to_ndarray(format="rgb24"))
        except (av.error.FFmpegError, ValueError):
            return None
        pixels.flags.writeable = False
        return pixels

    def read(self) -> Pixels | None:
        """See `Source.read`."""
        return self.item() if self.grab() else None

    def close(self) -> None:
        """See `Source.close`."""
        if self._pictures is not None:
            self._pictures.close()  # type: ignore[attr-defined]  # a generator: closes the container
            self._pictures = iter(())

    def _decode(self) -> Iterator[av.VideoFrame]:
        timeouts = (self._timeout_s, self._timeout_s)
        with av.open(self._address, format=self._format, options=self._options, timeout=timeouts) as container:
            if not container.streams.video:
                raise SourceError(f"{self.shown}: has no video stream")
            stream, broken = container.streams.video[0], 0
            stream.thread_type = "SLICE"  # threads per frame would hold back as many frames
            for packet in container.demux(stream):
                try:
                    pictures = packet.decode()
                except av.error.InvalidDataError as error:
                    broken += 1
                    self._skip(error, broken)
                    continue
                broken = 0 if pictures else broken
                yield from pictures

    def _skip(self, error: Exception, in_a_row: int) -> None:
        self.skipped += 1
        self.problem = self.problem or reason(error)
        if in_a_row >= MOST_BROKEN:
            raise SourceError(f"{self.shown}: {in_a_row} packets in a row cannot be decoded ({reason(error)})")

    def _why(self, error: Exception) -> str:
        if isinstance(error, av.error.ExitError):  # our own timeout
            return f"nothing came for {self._timeout_s:g} s"
        return reason(error).replace(self._address, self.shown)


def _options(address: str, transport: str, size: str, rate: float) -> dict[str, str]:
    """What FFmpeg is told; RTSP and devices know different words, and others none of them."""
    # Without its buffer FFmpeg loses pictures at the beginning, which only matters where they are all there is.
    buffer = "nobuffer+" if "://" in address or address.startswith("/dev/") else ""
    found = {"fflags": f"{buffer}discardcorrupt", "flags": "low_delay"}
    if address.startswith("rtsp"):
        found["rtsp_transport"] = transport
    if address.startswith("/dev/"):
        found.update({"video_size": size} if size else {}, **({"framerate": f"{rate:g}"} if rate else {}))
    return found
