"""Frames that the cloud should have seen are kept on disk, and sent when nobody else needs the link."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from edge_runtime.checks.backlog import Backlog, Fresh, tensors_of
from edge_runtime.checks.backlog_store import Kept
from edge_runtime.frames.outcomes import Outcome
from edge_runtime.frames.ticket import Ending, Ticket
from edge_runtime.link.network import Network
from edge_runtime.link.offload import Offloader
from edge_runtime.link.worker_link import Loss, Parcel, Reply
from split_core.errors import WireError
from split_core.readings import Reading, softmax

LINKLESS = frozenset({"timeout", "busy", "refused", "no_link", "deadline"})  # the cloud would have known better
PATIENCE_S = 5.0  # with an answer that nobody waits for
PAUSE_S = 10.0  # after one that did not come


@dataclass(frozen=True, slots=True)
class Forward:
    """A kept frame on its way."""

    number: int
    kept: Kept


@dataclass(frozen=True, slots=True)
class Checked:
    """What the whole network says of a frame that had another answer before; noted in the decision log.

    Attributes:
        camera, seq, captured_at, why, exit, label, confidence, policy: see `Kept`.
        verdict_label, verdict_confidence: of the whole network, before any calibration.
    """

    camera: str
    seq: int
    captured_at: float
    why: str
    exit: int
    label: int
    confidence: float
    policy: str
    verdict_label: int
    verdict_confidence: float

    @property
    def agrees(self) -> bool:
        """Does the whole network say the same?"""
        return self.label == self.verdict_label


@dataclass(slots=True)
class ForwardTally:
    """Sums since the start.

    Attributes:
        agree, differ: of the frames that were checked.
        useless: frames that nobody can check any more, by reason: "other_network", "refused", "damaged".
        payload_bytes: sent.
    """

    agree: int = 0
    differ: int = 0
    useless: Counter[str] = field(default_factory=Counter)
    payload_bytes: int = 0


class Forwarder:
    """Chooses what to keep, and sends it in idle moments, one at a time.

    No policy learns from it: which frames were kept depends on how they ended, so what they would teach is not what
    frames are like.

    Args:
        backlog: where they wait.
        keep: reasons of `Kept.why` that count.
        offloader: the way to the worker.
        network: that runs now; frames of another one cannot be checked any more.
        clock: monotonic seconds.
        wall: seconds since 1970.
        on_checked: told what came back.

    Attributes:
        tally: sums since the start.
    """

    def __init__(
        self,
        backlog: Backlog,
        keep: frozenset[str],
        offloader: Offloader,
        network: Callable[[], Network],
        *,
        clock: Callable[[], float],
        wall: Callable[[], float] = time.time,
        on_checked: Callable[[Checked], None] = lambda _: None,
    ) -> None:
        self.backlog, self._keep, self._offloader, self._network = backlog, keep, offloader, network
        self._clock, self._wall, self._on_checked = clock, wall, on_checked
        self._away = False
        self._not_before_s = float("-inf")
        self.tally = ForwardTally()

    def families(self) -> Iterator[Metric]:
        """For Prometheus, at every scrape."""
        backlog, tally = self.backlog, self.tally
        yield GaugeMetricFamily("offramp_backlog_frames", "Kept on disk for the cloud.", value=backlog.waiting)
        yield GaugeMetricFamily("offramp_backlog_bytes", "That they take.", value=backlog.bytes)
        yield CounterMetricFamily("offramp_backlog_kept", "Frames that were kept.", value=backlog.kept)
        checked = CounterMetricFamily("offramp_backlog_checked", "Kept frames that came back.", labels=("result",))
        for result, count in (("agree", tally.agree), ("differ", tally.differ)):
            checked.add_metric((result,), count)
        lost = CounterMetricFamily("offramp_backlog_lost", "Kept frames that will not be sent.", labels=("reason",))
        for why, count in (*backlog.dropped.items(), *tally.useless.items()):
            lost.add_metric((why,), count)
        yield from (checked, lost)

    def ended(self, ticket: Ticket, ending: Ending, outcome: Outcome) -> None:
        """A frame has its outcome; keep it if the cloud should see it."""
        if outcome.degraded in LINKLESS:
            self._offer("degraded", ticket, ending.reading)
        elif outcome.marked:
            self._offer("marked", ticket, ending.reading)

    def missed(self, ticket: Ticket, answer: Reading) -> None:
        """An audit of this answer was drawn, and could not be sent."""
        self._offer("audit", ticket, answer)

    def _offer(self, why: str, ticket: Ticket, answer: Reading) -> None:
        run, prefix = ticket.run, ticket.deployment.prefix
        if why not in self._keep or run is None or answer.exit == prefix.exits:
            return  # nobody knows better than the whole network
        costs = ticket.plan.context.costs
        cut = ticket.parcel.cut if ticket.parcel else costs.payload[min(run.depth, prefix.exits - 1)]
        if cut == 0 and not ticket.rules.ship_input:
            return  # pixels stay here
        name, codec = self._offloader.codec_of(cut)
        kept = Kept(
            ticket.camera,
            ticket.frame.seq,
            self._wall() - (self._clock() - ticket.frame.captured_at_s),
            why,
            answer.exit,
            answer.label,
            answer.confidence,
            ticket.rules.id,
            prefix.network.bundle_id,
            cut,
            name,
            b"",
        )
        self.backlog.put(Fresh(kept, run.tensors(cut), codec))

    def idle(self) -> None:
        """Nothing else is to be done: send what waits, if nothing is in flight."""
        waiting, now = self.backlog.next, self._clock()
        if waiting is None or self._away or now < self._not_before_s or not self._offloader.quiet(now):
            return
        number, kept = waiting
        parcel = self._parcel(kept)
        if isinstance(parcel, str):
            self.tally.useless[parcel] += 1
            self.backlog.done(number)
        elif self._offloader.submit_audit(parcel, Forward(number, kept), patience_s=PATIENCE_S):
            self._away = True
            self.tally.payload_bytes += parcel.payload_bytes

    def _parcel(self, kept: Kept) -> Parcel | str:
        """What to send, or why it is of no use."""
        network = self._network()
        if kept.bundle != network.bundle_id:
            return "other_network"
        try:
            return Parcel(kept.cut, kept.codec, tensors_of(kept), 0.0, network)
        except WireError:
            return "damaged"

    def settle(self, forward: Forward, event: Reply | Loss) -> None:
        """It came back; what was not answered is tried again later."""
        self._away = False
        if isinstance(event, Reply):
            self._check(forward.kept, event)
        elif event.reason == "refused":
            self.tally.useless["refused"] += 1
        else:
            self._not_before_s = self._clock() + PAUSE_S
            return
        self.backlog.done(forward.number)

    def _check(self, kept: Kept, reply: Reply) -> None:
        probabilities = softmax(reply.logits)
        label = int(probabilities.argmax())
        found = Checked(
            kept.camera,
            kept.seq,
            kept.captured_at,
            kept.why,
            kept.exit,
            kept.label,
            kept.confidence,
            kept.policy,
            label,
            float(probabilities[label]),
        )
        self.tally.agree += found.agrees
        self.tally.differ += not found.agrees
        self._on_checked(found)
