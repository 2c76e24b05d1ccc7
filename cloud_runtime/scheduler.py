"""Which requests run next, together.  Pure: no clock, no threads; callers pass `now` in seconds.

Requests wait in one queue per (bundle, next segment), so those that entered at different cuts run
together from where they meet; sequences of different lengths wait apart, for one tensor holds one length.
Nobody waits for a batch to fill: an idle engine takes what is there.

The rule of `next_batch`:

1. The queue with the least time left to its final exit goes first (within a bundle: the deepest).  It
   finishes requests soonest, which frees their memory, and shortest-remaining-first minimises mean time.
2. Unless somewhere a request would be late if it waited for that batch, but is in time if it goes now:
   then the one with the least slack goes first.  A request that is late whatever happens jumps no queue:
   under overload, chasing those makes the others late as well.
3. Inside a queue cameras take turns, first come first served within a camera.

A request past its deadline is dropped by `expire`, before it costs compute.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cloud_runtime.estimates import Estimates
from split_core.tensors import Array
from split_core.wire import Offload

Place = tuple[str, int, tuple[tuple[int, ...], ...]]  # bundle id, segment, row shapes


@dataclass(eq=False, slots=True)
class Request:
    """One offload on its way through the worker.

    Attributes:
        peer: whom the answer goes to; a camera is a connection.
        segment: the one it needs next, 1..K.
        rows: samples that it carries.
        arrived_s, deadline_s: on this worker's clock.
        offload: as received, until it is decoded; then None.
        row_shapes: of that segment's inputs where the bundle does not fix them: only equal ones run together.
        tensors: input of `segment`, once decoded.
        compute_s: spent on it so far, with decoding.
        answered: it has its verdict or refusal.
    """

    peer: bytes
    request_id: int
    bundle_id: str
    segment: int
    rows: int
    arrived_s: float
    deadline_s: float
    offload: Offload | None = None
    row_shapes: tuple[tuple[int, ...], ...] = ()
    tensors: tuple[Array, ...] = ()
    compute_s: float = 0.0
    answered: bool = False

    @property
    def place(self) -> Place:
        """Where it waits, and with whom it may run."""
        return self.bundle_id, self.segment, self.row_shapes


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Requests that run one segment together; `rows` is how many samples they carry in all."""

    bundle_id: str
    segment: int
    requests: tuple[Request, ...]
    rows: int


class Scheduler:
    """Requests that wait, and rows that run.

    Args:
        exits: K per bundle id.
        estimates: how long segments take.
        max_batch_rows: a batch never has more.
        alone: (bundle id, segment) whose requests cannot run together.
    """

    def __init__(
        self,
        exits: Mapping[str, int],
        estimates: Estimates,
        *,
        max_batch_rows: int,
        alone: frozenset[tuple[str, int]] = frozenset(),
    ) -> None:
        self._estimates, self._max_batch_rows, self._alone = estimates, max_batch_rows, alone
        self._queues: dict[Place, _Queue] = {}
        self._held = {bundle_id: [0] * count for bundle_id, count in exits.items()}
        self._held_rows = 0
        self._earliest_s = float("inf")  # no waiting request has an earlier deadline
        self.queued_rows = 0
        self.rows_of: dict[bytes, int] = {}

    def add(self, request: Request) -> None:
        """Let a request wait for its next segment."""
        queue = self._queues.get(request.place)
        if queue is None:
            queue = self._queues[request.place] = _Queue()
        queue.add(request)
        self._earliest_s = min(self._earliest_s, request.deadline_s)
        self._held[request.bundle_id][request.segment - 1] += request.rows
        self._held_rows += request.rows
        self.queued_rows += request.rows
        self.rows_of[request.peer] = self.rows_of.get(request.peer, 0) + request.rows

    def next_batch(self, now: float) -> Batch | None:
        """What an idle engine should run, or None when nothing waits; its rows stay held until `finished`."""
        if not self._queues:
            return None
        place, first = self._choose(now)
        bundle_id, segment, _ = place
        limit = 1 if (bundle_id, segment) in self._alone else self._max_batch_rows
        queue = self._queues[place]
        before = queue.rows
        taken = queue.take(limit, self._max_batch_rows, first)
        for request in taken:
            self._left(request)
        if not queue.rows:
            del self._queues[place]
        return Batch(bundle_id, segment, tuple(taken), before - queue.rows)

    def finished(self, batch: Batch) -> None:
        """A batch has run; what goes on is given to `add` again."""
        self._held[batch.bundle_id][batch.segment - 1] -= batch.rows
        self._held_rows -= batch.rows

    def expire(self, now: float) -> list[Request]:
        """Take out and return everything past its deadline."""
        if now < self._earliest_s:
            return []
        late = [request for request in self.waiting() if request.deadline_s <= now]
        for request in late:
            self.remove(request)
        self._earliest_s = min((request.deadline_s for request in self.waiting()), default=float("inf"))
        return late

    def remove(self, request: Request) -> None:
        """Take out one request that waits."""
        self._queues[request.place].remove(request)
        self._left(request)
        self._held[request.bundle_id][request.segment - 1] -= request.rows
        self._held_rows -= request.rows
        if not self._queues[request.place].rows:
            del self._queues[request.place]

    def newest_of(self, peer: bytes) -> Request:
        """The request of this camera that came last; it must have one."""
        return max((r for r in self.waiting() if r.peer == peer), key=lambda request: request.arrived_s)

    def waiting(self) -> Iterator[Request]:
        """Everything that waits."""
        for queue in [*self._queues.values()]:
            yield from queue

    def work_s(self) -> float:
        """Seconds of compute to finish all that waits or runs; a running batch counts whole."""
        if not self._held_rows:
            return 0.0
        return sum(self._estimates.work_s(bundle_id, rows_at) for bundle_id, rows_at in self._held.items())

    def _left(self, request: Request) -> None:
        self.queued_rows -= request.rows
        rows = self.rows_of[request.peer] - request.rows
        if rows:
            self.rows_of[request.peer] = rows
        else:
            del self.rows_of[request.peer]

    def _choose(self, now: float) -> tuple[Place, Request | None]:
        """The queue to serve, and who must be in the batch when a deadline decided."""
        if len(self._queues) == 1:
            return next(iter(self._queues)), None
        soonest = min(self._queues, key=self._rank)
        first_s = self._estimates.batch_s(*soonest[:2], min(self._queues[soonest].rows, self._max_batch_rows))
        at_stake: list[tuple[float, Place, Request]] = []
        for place, queue in self._queues.items():
            urgent = min(queue, key=lambda request: request.deadline_s)
            slack_s = urgent.deadline_s - now - self._estimates.to_finish_s(*place[:2])
            if 0.0 <= slack_s < first_s:
                at_stake.append((slack_s, place, urgent))
        if not at_stake:
            return soonest, None
        _, place, urgent = min(at_stake, key=lambda entry: entry[0])
        return place, urgent

    def _rank(self, place: Place) -> tuple[float, float]:
        """The less time to the final exit, the sooner; then, between lengths, the earlier arrival."""
        return self._estimates.to_finish_s(*place[:2]), next(iter(self._queues[place])).arrived_s


class _Queue:
    """Requests that need the same segment; cameras take turns."""

    def __init__(self) -> None:
        self.rows = 0
        self._lines: OrderedDict[bytes, deque[Request]] = OrderedDict()

    def __iter__(self) -> Iterator[Request]:
        for line in self._lines.values():
            yield from line

    def add(self, request: Request) -> None:
        line = self._lines.get(request.peer)
        if line is None:
            line = self._lines[request.peer] = deque()
        line.append(request)
        self.rows += request.rows

    def remove(self, request: Request) -> None:
        line = self._lines[request.peer]
        line.remove(request)
        self.rows -= request.rows
        if not line:
            del self._lines[request.peer]

    def take(self, max_requests: int, max_rows: int, first: Request | None) -> list[Request]:
        """At least one request, at most `max_rows` rows if there are several."""
        taken, rows = [], 0
        if first is not None:
            self.remove(first)
            taken, rows = [first], first.rows
        while self._lines and len(taken) < max_requests:
            peer, line = next(iter(self._lines.items()))
            if taken and rows + line[0].rows > max_rows:
                break  # it comes first in the next batch
            request = line.popleft()
            taken.append(request)
            rows += request.rows
            self.rows -= request.rows
            if line:
                self._lines.move_to_end(peer)
            else:
                del self._lines[peer]
        return taken
