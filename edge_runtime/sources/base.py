"""What a source must do, and the frames it gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Item = Pixels | str


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture or text.

    Attributes:
        seq: strictly increases; a gap is a frame that was dropped unread.
        captured_at_s: on the process's monotonic clock.
        item: pixels, uint8 (H, W, 1 or 3), read-only; or a text.
    """

    seq: int
    captured_at_s: float
    item: Item


class Source(Protocol):
    """Gives pictures or texts one after the other, from one thread.

    A source class is called with the keys of its config section as keyword arguments; it opens nothing
    before the first `read`.
    """

    def read(self) -> Item | None:
        """The next picture as uint8 (H, W, 1 or 3), or text; None at the end.  May block.

        Raises:
            SourceError: the camera, file or folder gives nothing.
        """

    def close(self) -> None:
        """Give everything back; `read` is not called again."""


@runtime_checkable
class Skipping(Protocol):
    """A source that passes over what it cannot read.

    Attributes:
        skipped: items so far.
        problem: what was wrong with the first of them.
    """

    skipped: int
    problem: str


@runtime_checkable
class LiveSource(Source, Protocol):
    """A source that has no end: when it stops, it is opened again.

    Pictures are grabbed in time and made into items only where somebody wants them.
    """

    def grab(self) -> bool:
        """Wait for the next picture; False when the stream has ended.

        Raises:
            SourceError: the camera gives nothing.
        """

    def item(self) -> Item | None:
        """The picture that was grabbed last; None when it cannot be read."""
