"""What a transport must do.  Nothing here blocks but `wait`, and nothing raises for a network reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

Frames = Sequence[bytes | memoryview]


class Channel(Protocol):
    """A device's end.  One thread owns it; only `wake` may be called from others."""

    def send(self, frames: Frames) -> bool:
        """Hand over one message; False when there is no peer or no room, and it is then gone.

        The buffers must not be written to afterwards.
        """

    def receive(self) -> list[bytes] | None:
        """The next message, or None when there is none yet."""

    def wait(self, timeout_s: float, *others: Channel) -> None:
        """Return when there is something to receive, when `wake` was called, or after `timeout_s`.

        Args:
            timeout_s: at most; 0 only looks.
            others: channels of the same transport; something to receive there ends the wait, too.
        """

    def wake(self) -> None:
        """End a `wait`, now or the next one.  May be called from any thread."""

    def close(self) -> None:
        """Drop what was not sent and give everything back."""


class Listener(Protocol):
    """A worker's end.  One thread owns it; only `wake` may be called from others.

    Attributes:
        address: where devices connect to, with the real port when 0 was asked for.
    """

    address: str

    def receive(self) -> tuple[bytes, list[bytes]] | None:
        """The next message and whom it is from, or None when there is none yet."""

    def send(self, peer: bytes, frames: Frames) -> bool:
        """Hand over one message for `peer`; False when it is gone or cannot keep up."""

    def wait(self, timeout_s: float) -> None:
        """As `Channel.wait`, for itself alone."""

    def wake(self) -> None:
        """As `Channel.wake`."""

    def close(self) -> None:
        """As `Channel.close`."""


class Transport(Protocol):
    """Makes both ends."""

    def listen(self, address: str) -> Listener:
        """Open a worker's end at `address`; port 0 or `*` takes a free one.

        Raises:
            LinkError: the address cannot be used.
        """

    def connect(self, address: str) -> Channel:
        """Open a device's end; succeeds whether or not a worker is there.

        Raises:
            LinkError: the address is not one.
        """
