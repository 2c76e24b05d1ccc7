"""Does the loop turn?  Told to whoever asks over HTTP, and to systemd, which starts the program again when it does not.

The protocol is sd_notify(3): datagrams to the socket that `NOTIFY_SOCKET` names; nothing is sent where it is not set.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress

STALLED_S = 10.0  # the loop waits a quarter of a second at most, and no segment takes as long as this


class Supervisor:
    """Whoever started the program and waits for news of it; nobody where `NOTIFY_SOCKET` is not set.

    Args:
        environment: of the process.

    Attributes:
        watchdog_s: it wants to hear of the loop at least as often; 0 where it does not.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        path = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        meant = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        usec = environment.get("WATCHDOG_USEC", "")
        self.watchdog_s = int(usec) / 1e6 if path and meant and usec.isdigit() else 0.0

    def tell(self, *news: str) -> None:
        """Send "READY=1", "WATCHDOG=1", ...; never blocks, never raises: the program goes on when it is gone."""
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as one:
            one.sendto("\n".join(news).encode(), self._address)


class Pulse:
    """Beats once for every turn of the loop.  `begin` when the loop does, `end` when it is told to.

    Args:
        supervisor: told of all this.
        clock: monotonic seconds.
        stalled_s: without a beat for so long, the loop hangs.
    """

    def __init__(self, supervisor: Supervisor, clock: Callable[[], float], stalled_s: float = STALLED_S) -> None:
        self._supervisor, self._clock, self._stalled_s = supervisor, clock, stalled_s
        self._every_s = supervisor.watchdog_s / 3
        self._told_at_s = clock()
        self._at_s: float | None = None  # before the first turn nothing can hang that would not raise

    @property
    def alive(self) -> bool:
        """Did the loop turn not long ago?  True while it has not begun."""
        at_s = self._at_s
        return at_s is None or self._clock() - at_s < self._stalled_s

    def begin(self) -> None:
        """All is loaded and warm."""
        self.beat()
        self._supervisor.tell("READY=1")

    def end(self) -> None:
        """No further frame is taken; usable in a signal handler."""
        self._supervisor.tell("STOPPING=1")

    def beat(self) -> None:
        """The loop turns."""
        now = self._at_s = self._clock()
        if self._every_s and now - self._told_at_s >= self._every_s:
            self._told_at_s = now
            self._supervisor.tell("WATCHDOG=1")
