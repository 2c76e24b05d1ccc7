"""One of the cameras that share a device, and whose frame comes next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from edge_runtime.frames.deployment import Deployment
from edge_runtime.frames.ticket import Rules
from edge_runtime.sources.base import Frame
from edge_runtime.sources.slot import NewestFrame


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


Taken = tuple[Stream, Frame]


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

    def take(self, most: int = 1, together: Callable[[Sequence[Taken]], bool] = lambda _: True) -> list[Taken]:
        """The next frames and whose they are, at most one of each camera.

        Args:
            most: frames.
            together: may these be taken at once?  A single one always may.
        """
        taken: list[Taken] = []
        for stream in self._streams:
            if len(taken) == most:
                break
            waiting = stream.slot.peek()
            if waiting is None or (taken and not together([*taken, (stream, waiting)])):
                continue
            if (frame := stream.slot.take()) is not None:
                taken.append((stream, frame))
        if taken and len(self._streams) > 1:
            served = [stream for stream, _ in taken]
            self._streams = [stream for stream in self._streams if stream not in served] + served
        return taken
