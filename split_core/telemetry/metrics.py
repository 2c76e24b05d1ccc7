"""What both sides count, for Prometheus.  Every object has a registry of its own: no globals.

Children are bound once, so that counting costs one or two locked additions: 1 us an increment, 2.5 us
an observation.  Times are in seconds and sizes in bytes, as Prometheus wants them; the methods take
the units that the callers have.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from split_core.wire import REFUSALS

FRAME_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)
SEGMENT_SECONDS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
BATCH_ROWS = (1, 2, 4, 8, 16, 32, 64, 128)
BREAKER_STATES = ("closed", "half_open", "open")


class EdgeMetrics:
    """What a camera's program counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._frames = Counter(
            "offramp_frames", "Frames answered, by where and why.", ("where", "reason"), registry=self.registry
        )
        self._latency = Histogram(
            "offramp_frame_seconds", "Capture to outcome.", buckets=FRAME_SECONDS, registry=self.registry
        )
        self._dropped = Counter("offramp_frames_dropped", "Frames that were never read.", registry=self.registry)
        self._payload = Counter("offramp_offload_bytes", "Bytes of tensors sent.", registry=self.registry)
        self._breaker = Gauge("offramp_breaker_state", "1 for the state it is in.", ("state",), registry=self.registry)
        self._by_path: dict[tuple[str, str], Counter] = {}

    def answered(self, where: str, reason: str, latency_ms: float) -> None:
        """Count one outcome.

        Args:
            where: "edge" or "cloud".
            reason: why it is degraded, from a fixed set of words; empty when it is not.
            latency_ms: capture to outcome.
        """
        child = self._by_path.get((where, reason))
        if child is None:
            child = self._by_path[where, reason] = self._frames.labels(where, reason)
        child.inc()
        self._latency.observe(latency_ms / 1e3)

    def dropped(self, count: int) -> None:
        """Count frames that newer ones replaced before they were read."""
        self._dropped.inc(count)

    def shipped(self, payload_bytes: int) -> None:
        """Count one offload."""
        self._payload.inc(payload_bytes)

    def breaker(self, state: str) -> None:
        """Say which of `BREAKER_STATES` the breaker is in."""
        if state not in BREAKER_STATES:
            raise ValueError(f"breaker state must be one of {', '.join(BREAKER_STATES)}, got {state!r}")
        for name in BREAKER_STATES:
            self._breaker.labels(name).set(name == state)


class CloudMetrics:
    """What a worker counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        requests = Counter("offramp_requests", "Offloads, by how they ended.", ("outcome",), registry=self.registry)
        self._verdicts, self._refused = requests.labels("verdict"), requests.labels("refusal")
        refusals = Counter("offramp_refusals", "Refusals, by code.", ("code",), registry=self.registry)
        self._refusals = {code: refusals.labels(code) for code in REFUSALS}
        self._hellos = Counter("offramp_hellos", "Handshakes and probes.", registry=self.registry)
        self._unsent = Counter("offramp_replies_unsent", "Answers whose device was gone.", registry=self.registry)
        self._seconds = Counter(
            "offramp_segment_seconds", "Compute spent, by segment.", ("segment",), registry=self.registry
        )
        self._batch_seconds = Histogram(
            "offramp_batch_seconds", "One segment on one batch.", buckets=SEGMENT_SECONDS, registry=self.registry
        )
        self._batch_rows = Histogram(
            "offramp_batch_rows", "Rows of a batch.", buckets=BATCH_ROWS, registry=self.registry
        )
        self._queue_rows = Gauge("offramp_queue_rows", "Rows that wait.", registry=self.registry)
        self._by_segment: dict[int, Counter] = {}

    def verdict(self) -> None:
        """Count one answered offload."""
        self._verdicts.inc()

    def refusal(self, code: str) -> None:
        """Count one refusal, of an offload or of anything else."""
        self._refused.inc()
        self._refusals[code].inc()

    def hello(self) -> None:
        """Count one handshake."""
        self._hellos.inc()

    def unsent(self) -> None:
        """Count one answer that could not be handed over."""
        self._unsent.inc()

    def batch(self, segment: int, rows: int, seconds: float) -> None:
        """Count one run of one segment."""
        child = self._by_segment.get(segment)
        if child is None:
            child = self._by_segment[segment] = self._seconds.labels(str(segment))
        child.inc(seconds)
        self._batch_seconds.observe(seconds)
        self._batch_rows.observe(rows)

    def watch_queue(self, rows: Callable[[], float]) -> None:
        """Read the queue's rows from `rows` whenever somebody scrapes; counting then costs nothing."""
        self._queue_rows.set_function(rows)


def exposition(registry: CollectorRegistry) -> bytes:
    """All metrics of a registry in Prometheus' text format."""
    return generate_latest(registry)
