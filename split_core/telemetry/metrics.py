"""What both sides count, for Prometheus.  Every object has a registry of its own: no globals.

Counting is plain arithmetic on the caller's thread, and Prometheus' objects are made when somebody
scrapes: on a cold cache their locks and labels cost 10 us a frame.  So each object is fed by one thread,
or under one lock.  Prometheus gets seconds and bytes; the methods take the units that callers have.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from split_core.drift.monitor import DriftMonitor
from split_core.telemetry.audit import AuditTally, Promise
from split_core.telemetry.shadow import ShadowTally
from split_core.wire import REFUSALS

FRAME_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)
SEGMENT_SECONDS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
BATCH_ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
BREAKER_STATES = ("closed", "half_open", "open")


Seen = tuple[Mapping[str, int], int, bool]  # frames dropped by reason, connections, do frames come?


class Distribution:
    """Counts per bucket; `bounds` are the buckets' upper ends."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def family(self, name: str, text: str) -> Metric:
        """In Prometheus' form, where buckets are cumulative."""
        ends = [*map(str, self._bounds), "+Inf"]
        buckets = list(zip(ends, map(float, itertools.accumulate(self._counts)), strict=True))
        return HistogramMetricFamily(name, text, buckets=buckets, sum_value=self._sum)


class EdgeMetrics:
    """What a camera's program counts."""

    def __init__(self) -> None:
        self._frames: Counter[tuple[str, str, str]] = Counter()
        self._latency = Distribution(FRAME_SECONDS)
        self._payload_bytes = 0
        self._sources: dict[str, Callable[[], Seen]] = {}
        self._breakers: Callable[[], Mapping[str, str]] = dict
        self._drift: dict[str, Callable[[], DriftMonitor]] = {}
        self._marked: Counter[str] = Counter()
        self._guardrail_errors: Callable[[], int] = int
        self._shadow: Callable[[], ShadowTally] = ShadowTally
        self._shadow_lost: Callable[[], int] = int
        self._audits: Callable[[], AuditTally] = AuditTally
        self._promise: dict[str, Callable[[], Promise | None]] = {}
        self._hedges: Mapping[str, int] = {}
        self._sinks_lost: Callable[[], Mapping[str, Mapping[str, int]]] = dict
        self._unwritten: dict[str, Callable[[], Mapping[str, int]]] = {}
        self._others: list[Callable[[], Iterable[Metric]]] = []
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def watch_drift(self, camera: str, monitor: Callable[[], DriftMonitor]) -> None:
        """Read findings from the monitor in force for a camera at every scrape."""
        self._drift[camera] = monitor

    def watch_guardrail(self, errors: Callable[[], int]) -> None:
        """Read the guardrail's errors at every scrape."""
        self._guardrail_errors = errors

    def watch_shadow(self, tally: Callable[[], ShadowTally], lost: Callable[[], int]) -> None:
        """Read what the policy in the shadow would have done at every scrape, and how often it had no time."""
        self._shadow, self._shadow_lost = tally, lost

    def watch_promise(self, camera: str, promise: Callable[[], Promise | None]) -> None:
        """Read how the envelope in force for a camera stands at every scrape; None without one."""
        self._promise[camera] = promise

    def watch_audits(self, tally: Callable[[], AuditTally]) -> None:
        """Read how the checked answers compared at every scrape."""
        self._audits = tally

    def watch_hedges(self, won: Mapping[str, int]) -> None:
        """Read who answered frames that were hedged at every scrape."""
        self._hedges = won

    def watch_sinks(self, lost: Callable[[], Mapping[str, Mapping[str, int]]]) -> None:
        """Read how many outcomes were lost on their way at every scrape, by sink and reason."""
        self._sinks_lost = lost

    def watch_unwritten(self, camera: str, lost: Callable[[], Mapping[str, int]]) -> None:
        """Read what the disk did not take of a camera at every scrape, by file."""
        self._unwritten[camera] = lost

    def watch(self, families: Callable[[], Iterable[Metric]]) -> None:
        """Ask somebody else who counts at every scrape, too."""
        self._others.append(families)

    def answered(self, camera: str, where: str, reason: str, latency_ms: float, marked: str = "") -> None:
        """Count one outcome.

        Args:
            camera: that saw the frame.
            where: "edge" or "cloud".
            reason: why it is degraded, from a fixed set of words; empty when it is not.
            latency_ms: capture to outcome.
            marked: why a person should look at it, from a fixed set of words; empty when nobody need.
        """
        self._frames[camera, where, reason] += 1
        if marked:
            self._marked[marked] += 1
        self._latency.add(latency_ms / 1e3)

    def watch_source(self, camera: str, seen: Callable[[], Seen]) -> None:
        """Read what comes from a camera, and what is dropped of it, at every scrape."""
        self._sources[camera] = seen

    def shipped(self, payload_bytes: int) -> None:
        """Count one offload."""
        self._payload_bytes += payload_bytes

    def watch_breakers(self, states: Callable[[], Mapping[str, str]]) -> None:
        """Read which of `BREAKER_STATES` each worker's breaker is in at every scrape."""
        self._breakers = states

    def collect(self) -> Iterator[Metric]:
        """Called by the registry, for every scrape."""
        frames = [*self._frames.items()]
        yield _counters("offramp_frames", "Frames answered, by where and why.", ("camera", "where", "reason"), frames)
        marked = [((why,), count) for why, count in [*self._marked.items()]]
        yield _counters("offramp_frames_marked", "Answers that a person should look at.", ("why",), marked)
        yield from _of_shadow(self._shadow())
        text = "Frames that the shadow was not asked about: too many were waiting."
        yield CounterMetricFamily("offramp_shadow_frames_lost", text, value=self._shadow_lost())
        yield from _of_audits(self._audits())
        hedged = [((won,), count) for won, count in [*self._hedges.items()]]
        yield _counters("offramp_hedged", "Frames that went on here while their answer was late.", ("won",), hedged)
        yield from _of_promises({camera: promise() for camera, promise in self._promise.items()})
        errors = self._guardrail_errors()
        yield CounterMetricFamily("offramp_guardrail_errors", "Guardrail calls that failed.", value=errors)
        yield self._latency.family("offramp_frame_seconds", "Capture to outcome.")
        yield from _of_sources({camera: seen() for camera, seen in self._sources.items()})
        text = "Outcomes that a sink wanted and did not get out."
        yield _counters("offramp_outcomes_lost", text, ("sink", "reason"), _pairs(self._sinks_lost()))
        text = "Records of decision logs and savings of states that the disk did not take."
        unwritten = {camera: lost() for camera, lost in self._unwritten.items()}
        yield _counters("offramp_unwritten", text, ("camera", "file"), _pairs(unwritten))
        yield CounterMetricFamily("offramp_offload_bytes", "Bytes of tensors sent.", value=self._payload_bytes)
        breakers = GaugeMetricFamily("offramp_breaker_state", "1 for the state it is in.", labels=("worker", "state"))
        for worker, state in self._breakers().items():
            for name in BREAKER_STATES:
                breakers.add_metric((worker, name), float(name == state))
        yield breakers
        for families in self._others:
            yield from families()
        yield from _of_monitors({camera: monitor() for camera, monitor in self._drift.items()})


class CloudMetrics:
    """What a worker counts."""

    def __init__(self) -> None:
        self._verdicts = self._hellos = self._unsent = 0
        self._refusals = Counter(dict.fromkeys(REFUSALS, 0))
        self._segment_s: dict[int, float] = {}
        self._batch_seconds, self._batch_rows = Distribution(SEGMENT_SECONDS), Distribution(BATCH_ROWS)
        self._queue_rows: Callable[[], float] = lambda: 0.0
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def verdict(self) -> None:
        """Count one answered offload."""
        self._verdicts += 1

    def refusal(self, code: str) -> None:
        """Count one refusal, of an offload or of anything else."""
        self._refusals[code] += 1

    def hello(self) -> None:
        """Count one handshake."""
        self._hellos += 1

    def unsent(self) -> None:
        """Count one answer that could not be handed over."""
        self._unsent += 1

    def batch(self, segment: int, rows: int, seconds: float) -> None:
        """Count one run of one segment."""
        self._segment_s[segment] = self._segment_s.get(segment, 0.0) + seconds
        self._batch_seconds.add(seconds)
        self._batch_rows.add(rows)

    def watch_queue(self, rows: Callable[[], float]) -> None:
        """Read the queue's rows from `rows` at every scrape."""
        self._queue_rows = rows

    def collect(self) -> Iterator[Metric]:
        """Called by the registry, for every scrape."""
        outcomes = [(("verdict",), self._verdicts), (("refusal",), sum(self._refusals.values()))]
        yield _counters("offramp_requests", "What came in, by how it ended.", ("outcome",), outcomes)
        refusals = [((code,), count) for code, count in self._refusals.items()]
        yield _counters("offramp_refusals", "Refusals, by code.", ("code",), refusals)
        yield CounterMetricFamily("offramp_hellos", "Handshakes and probes.", value=self._hellos)
        yield CounterMetricFamily("offramp_replies_unsent", "Answers whose device was gone.", value=self._unsent)
        seconds = [((str(segment),), seconds) for segment, seconds in [*self._segment_s.items()]]
        yield _counters("offramp_segment_seconds", "Compute spent, by segment.", ("segment",), seconds)
        yield self._batch_seconds.family("offramp_batch_seconds", "One segment on one batch.")
        yield self._batch_rows.family("offramp_batch_rows", "Rows of a batch.")
        yield GaugeMetricFamily("offramp_queue_rows", "Rows that wait.", value=self._queue_rows())


def exposition(registry: CollectorRegistry) -> bytes:
    """All metrics of a registry in Prometheus' text format."""
    return generate_latest(registry)


def _counters(name: str, text: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family


def _pairs(values: Mapping[str, Mapping[str, int]]) -> list[tuple[tuple[str, ...], float]]:
    return [((first, second), value) for first, inner in values.items() for second, value in inner.items()]


def _of_sources(seen: Mapping[str, Seen]) -> Iterator[Metric]:
    drops = _pairs({camera: dict(dropped) for camera, (dropped, _, _) in seen.items()})
    yield _counters("offramp_frames_dropped", "Frames that nobody answers.", ("camera", "reason"), drops)
    connections = [((camera,), count) for camera, (_, count, _) in seen.items()]
    yield _counters("offramp_source_connections", "Times that it was opened.", ("camera",), connections)
    sees = GaugeMetricFamily("offramp_source_sees", "1 while frames come.", labels=("camera",))
    for camera, (_, _, comes) in seen.items():
        sees.add_metric((camera,), float(comes))
    yield sees


def _of_audits(tally: AuditTally) -> Iterator[Metric]:
    """Those that wait or are in flight are in none of the results."""
    ends = ("agree", "differ", "skipped", "lost")
    results = [((end,), getattr(tally, end)) for end in ends]
    yield _counters("offramp_audits", "Answers checked in the cloud afterwards.", ("result",), results)
    yield CounterMetricFamily("offramp_audit_bytes", "Bytes sent for audits.", value=tally.payload_bytes)


def _of_monitors(monitors: Mapping[str, DriftMonitor]) -> Iterator[Metric]:
    text = "Distance from calibration; alarm above 1."
    drift = GaugeMetricFamily("offramp_drift", text, labels=("camera", "detector", "exit"))
    void = GaugeMetricFamily("offramp_policy_void", "1 when drift has voided its promises.", labels=("camera",))
    for camera, monitor in monitors.items():
        for finding in monitor.findings():
            labels = (camera, finding.detector, str(finding.exit))
            drift.add_metric(labels, finding.drift.value / finding.drift.limit)
        void.add_metric((camera,), float(monitor.void))
    yield from (drift, void)


def _of_promises(promises: Mapping[str, Promise | None]) -> Iterator[Metric]:
    text = "Share of the device's answers that the full network agrees with: promised, and bounds on what it is."
    agreement = GaugeMetricFamily("offramp_agreement", text, labels=("camera", "bound"))
    stage = GaugeMetricFamily("offramp_envelope_stage", "0 certified, 1 shrunk, 2 fallen back.", labels=("camera",))
    for camera, promise in promises.items():
        if promise is None:
            continue
        for bound in ("target", "lower", "upper"):
            agreement.add_metric((camera, bound), getattr(promise, bound))
        stage.add_metric((camera,), float(promise.stage))
    yield from (agreement, stage)


def _of_shadow(tally: ShadowTally) -> Iterator[Metric]:
    """Nothing before its first frame; offload share and exit shares follow from the last."""
    if not tally.frames:
        return
    ways = [
        (("same",), tally.known - tally.elsewhere),
        (("elsewhere",), tally.elsewhere),
        (("unknown",), tally.unknown),
    ]
    yield _counters("offramp_shadow_frames", "Frames, by where the shadow would answer.", ("answered",), ways)
    labels = [(("same",), tally.agree), (("other",), tally.labelled - tally.agree)]
    yield _counters("offramp_shadow_labels", "Answers of the shadow that are known.", ("label",), labels)
    exits = [((where, str(exit)), count) for (where, exit), count in [*tally.exits.items()]]
    yield _counters("offramp_shadow_exits", "Frames, by the shadow's way.", ("where", "exit"), exits)
