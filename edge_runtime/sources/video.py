"""Video files, through PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import av
import numpy as np

from edge_runtime.sources.base import Pixels
from split_core.errors import SourceError, reason


class VideoSource:
    """The pictures of a video file's first video stream, as RGB.

    Args:
        path: the file.
        loop: begin again at the end.
    """

    def __init__(self, path: str, loop: bool = False) -> None:
        self._path, self._loop = path, loop
        self._pictures: Iterator[Pixels] | None = None

    def read(self) -> Pixels | None:
        """See `Source.read`."""
        if self._pictures is None:
            self._pictures = self._decode()
        return next(self._pictures, None)

    def close(self) -> None:
        """See `Source.close`."""
        if self._pictures is not None:
            self._pictures.close()  # type: ignore[attr-defined]  # a generator: closes the container
            self._pictures = None

    def _decode(self) -> Iterator[Pixels]:
        while True:
            count = 0
            try:
                with av.open(self._path) as container:
                    for picture in self._stream(container):
                        count += 1
                        yield picture
            except (av.error.FFmpegError, OSError) as error:
                # A damaged tail is the end of the film; a damaged head is no film at all.
                if not count:
                    raise SourceError(
                        f"{self._path}: not a video that can be read ({reason(error)}); expected what FFmpeg reads"
                    ) from error
            if not count:
                raise SourceError(f"{self._path}: holds no pictures")
            if not self._loop:
                return

    def _stream(self, container: Any) -> Iterator[Pixels]:
        if not container.streams.video:
            raise SourceError(f"{self._path}: has no video stream")
        for picture in container.decode(container.streams.video[0]):
            pixels = np.ascontiguousarray(picture.to_ndarray(format="rgb24"))
            pixels.flags.writeable = False
            yield pixels
