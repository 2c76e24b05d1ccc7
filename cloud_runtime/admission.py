"""Who may wait.  Pure: refuses early what could only be answered late.

The checks, cheapest first: is the deadline still ahead, can it be met (`Estimates`), is there room, and
does the camera hold more than its share of the room while others wait.
"""

from __future__ import annotations

from dataclasses import dataclass

from cloud_runtime.estimates import Estimates
from cloud_runtime.scheduler import Request, Scheduler

MIN_RETRY_MS = 1.0


@dataclass(frozen=True, slots=True)
class Refused:
    """No: `code` is one of `wire.REFUSALS`."""

    code: str
    reason: str
    retry_after_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Admitted:
    """Yes; `instead_of` must make room for it."""

    instead_of: Request | None = None


class Admission:
    """The door of one worker.

    Args:
        scheduler: who waits.
        estimates: how long things take.
        max_queue_rows: rows that may wait.
        camera_share: the part of them that one camera may hold while others wait, in (0, 1].
        engines: how many compute at the same time.
    """

    def __init__(
        self, scheduler: Scheduler, estimates: Estimates, *, max_queue_rows: int, camera_share: float, engines: int
    ) -> None:
        self._scheduler, self._estimates, self._engines = scheduler, estimates, engines
        self._max_rows = max_queue_rows
        self._share_rows = max(1, int(camera_share * max_queue_rows))

    def decide(self, request: Request, now: float) -> Admitted | Refused:
        """May `request` wait?  Changes nothing but the estimates that refused somebody."""
        left_s = request.deadline_s - now
        if left_s <= 0.0:
            return Refused("expired", "the deadline had passed on arrival")
        backlog_s = self._scheduler.work_s() / self._engines
        finish_s = backlog_s + self._estimates.to_finish_s(request.bundle_id, request.segment)
        if finish_s > left_s:
            self._estimates.doubt(request.bundle_id)
            return Refused(
                "expired",
                f"needs {finish_s * 1e3:.1f} ms, the deadline is in {left_s * 1e3:.1f} ms",
                max(MIN_RETRY_MS, backlog_s * 1e3),
            )
        return self._room_for(request, backlog_s)

    def _room_for(self, request: Request, backlog_s: float) -> Admitted | Refused:
        held = self._scheduler.rows_of
        own_rows = held.get(request.peer, 0) + request.rows
        others_wait = len(held) > (request.peer in held)
        retry_ms = max(MIN_RETRY_MS, backlog_s * 1e3)
        if others_wait and own_rows > self._share_rows:
            return Refused("busy", f"this camera may hold {self._share_rows} rows while others wait", retry_ms)
        if self._scheduler.queued_rows + request.rows <= self._max_rows:
            return Admitted()
        greediest = max(held, key=held.__getitem__, default=request.peer)
        if held.get(greediest, 0) > max(self._share_rows, own_rows):
            newest = self._scheduler.newest_of(greediest)
            if self._scheduler.queued_rows + request.rows - newest.rows <= self._max_rows:
                return Admitted(newest)
        return Refused(
            "busy", f"{self._scheduler.queued_rows} of {self._max_rows} rows wait; try again later", retry_ms
        )
