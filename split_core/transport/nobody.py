"""A channel to nobody, for a device that has no worker: every send fails at once."""

from __future__ import annotations

import threading

from split_core.transport.base import Channel, Frames


class Nobody:
    """See `Channel`."""

    def __init__(self) -> None:
        self._woken = threading.Event()

    def send(self, frames: Frames) -> bool:
        """Always False."""
        return False

    def receive(self) -> list[bytes] | None:
        """Always None."""
        return None

    def wait(self, timeout_s: float, *others: Channel) -> None:
        """See `Channel.wait`."""
        self._woken.wait(timeout_s)
        self._woken.clear()

    def wake(self) -> None:
        """See `Channel.wake`."""
        self._woken.set()

    def close(self) -> None:
        """Nothing to give back."""
