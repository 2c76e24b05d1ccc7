"""One of the cameras that share a device, and whose frame comes next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edge_runtime.deployment import Deployment
from edge_runtime.sources.base import Frame
from edge_runtime.sources.feed import NewestFrame
from edge_runtime.ticket import Rules


@dataclass(eq=False)
class Stream:
    """One camera.

    Attributes:
        camera: its name.
        slot: its newest frame.
        rules: of its frames that begin now; those on their way end by the rules that they began with.
        deployment: what they run through.
    """

    camera: str
    slot: NewestFrame
    rules: Rules
    deployment: Deployment


class Turns:
    """Whose frame comes next: of the cameras that have one, the one that was not served for longest.

    So a camera gets its share of a device that is too slow for all, however many frames the others make.
    Refused: the earliest deadline first.  A slot holds the newest frame only, so who makes few frames has the oldest
    ones, and would come first always.

    Args:
        streams: at least one.
    """

    def __init__(self, streams: Iterable[Stream]) -> None:
        self._streams = list(streams)
        if not self._streams:
            raise ValueError("expected at least one stream")

    def take(self) -> tuple[Stream, Frame] | None:
        """The next frame and whose it is; None when nobody has one."""
        for place, stream in enumerate(self._streams):
            frame = stream.slot.take()
            if frame is not None:
                if place + 1 < len(self._streams):
                    self._streams.append(self._streams.pop(place))
                return stream, frame
        return None
