"""Composition root of the camera's program: the one place where names become objects."""

from __future__ import annotations

import gc
import json
import os
import signal
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import structlog

from bandits.envelope import Crossing
from edge_runtime import artefacts
from edge_runtime.adoption import Adoption
from edge_runtime.artefacts import Artefacts
from edge_runtime.audit import Auditor
from edge_runtime.breaker import Breaker
from edge_runtime.budget import Timing
from edge_runtime.config import EdgeConfig
from edge_runtime.costs import CostBook
from edge_runtime.keeping import Keeping, promise
from edge_runtime.ledger import Ledger
from edge_runtime.loop import EdgeLoop, OnOutcome
from edge_runtime.memory import PolicyMemory
from edge_runtime.offload import Offloader
from edge_runtime.opening import make_source, open_channel
from edge_runtime.outcomes import Outcome, Tally
from edge_runtime.policy_watch import Follower, PolicyWatch
from edge_runtime.prefix import Prefix
from edge_runtime.proposal import Proposals
from edge_runtime.shadow import ShadowDesk
from edge_runtime.sinks.json_lines import JsonLines
from edge_runtime.sources.base import Source
from edge_runtime.sources.feed import Feed
from edge_runtime.ticket import Ticket
from split_core.drift.monitor import Finding
from split_core.files import write_atomically
from split_core.telemetry.audit import AuditRecord
from split_core.telemetry.decisions import DecisionLog, FrameRecord
from split_core.telemetry.http import Health, HealthServer
from split_core.telemetry.metrics import EdgeMetrics
from split_core.telemetry.shadow import ShadowRecord
from split_core.transport.base import Channel

log = structlog.get_logger("edge")

STATE_EVERY_S = 5.0
AUDIT_STREAM = 1  # of randomness, beside the policy's own
PATIENCE_S = 0.25  # longest wait before the loop looks whether it shall stop


class EdgeApp:
    """One camera, ready to run.

    Args:
        config: checked.
        channel: replaces the configured transport; for tests and for people who embed the loop.
        source: replaces the configured source.

    Raises:
        SplitError: bundle, policy, profile, keys or source are not usable; nothing is left running.
    """

    def __init__(self, config: EdgeConfig, *, channel: Channel | None = None, source: Source | None = None) -> None:
        self._stack = ExitStack()
        with ExitStack() as undo:
            undo.callback(self._stack.close)
            self._build(config, channel, source)
            undo.pop_all()

    def _build(self, config: EdgeConfig, channel: Channel | None, source: Source | None) -> None:
        loaded = self._artefacts = artefacts.load(config, lambda line: log.warning("guardrail", reason=line))
        self._rules, self._model = loaded.rules(), loaded.bundle.manifest.name
        self.channel = channel or open_channel(config.link)
        self._stack.callback(self.channel.close)
        self.feed = Feed(
            source or make_source(config),
            fps=config.source.fps,
            limit=config.source.limit,
            every=config.source.every,
            clock=time.monotonic,
            wake=self.channel.wake,
        )
        self.metrics, self.tally = EdgeMetrics(), Tally()
        self._stopping, self._dropped = False, 0
        self._decisions: DecisionLog | None = None
        self._adopt: Adoption | None = None
        self._memory = self._remember(config, loaded.ids)
        self._breaker = Breaker(
            failures=config.link.failures,
            probe_every_s=config.link.probe_every_ms / 1e3,
            answer_within_s=config.deadline_ms / 1e3,
        )
        self.loop = self._make_loop(config, loaded)
        self._stack.callback(lambda: self._memory.close(self.loop.rules))
        self._watch = self._follow(config, loaded)
        self._serve(config)
        shown = {key: loaded.ids[key][:12] for key in ("bundle", "policy", "bandit")}
        log.info("ready", camera=config.camera, **shown)

    def _make_loop(self, config: EdgeConfig, loaded: Artefacts) -> EdgeLoop:
        prefix, rules, costs = loaded.prefix(), self._rules, loaded.costs()
        listeners = self._listeners(config, loaded.ids)
        shadow = ShadowDesk(costs, self._note_shadow, lambda line: log.error("shadow stopped", reason=line))
        self._stack.callback(shadow.close)
        self.metrics.watch_shadow(lambda: shadow.tally, lambda: shadow.lost)
        self._offloader = self._make_offloader(config, loaded, classes=len(prefix.labels))
        self.metrics.watch_drift(lambda: self.loop.rules.monitor)
        guardrail = loaded.guardrail
        self.metrics.watch_guardrail(lambda: guardrail.errors if guardrail else 0)
        self.auditor = self._make_auditor(config, prefix, costs)
        loop = EdgeLoop(
            self.feed.slot,
            prefix=prefix,
            reader=rules.reader,
            policy=rules.policy,
            costs=costs,
            objective=rules.objective,
            offloader=self._offloader,
            labels=prefix.labels,
            ship_input=rules.ship_input,
            timing=Timing(config.deadline_ms / 1e3, config.margin_ms / 1e3),
            clock=time.monotonic,
            on_outcome=listeners,
            monitor=rules.monitor,
            on_drift=self._tell_drift,
            on_shadowed=shadow.put,
            auditor=self.auditor,
        )
        loop.adopt(rules)  # with all that they say: their id, too
        return loop

    def _make_auditor(self, config: EdgeConfig, prefix: Prefix, costs: CostBook) -> Auditor:
        auditor = Auditor(
            self._offloader,
            prefix,
            costs,
            rng=np.random.default_rng((config.seed, AUDIT_STREAM)),
            patience_s=config.audit.patience_ms / 1e3,
            clock=time.monotonic,
            on_audit=self._tell_audit,
        )
        self.metrics.watch_audits(lambda: auditor.tally)
        self.metrics.watch_promise(lambda: promise(self.loop.rules))
        self._proposals = Proposals(lambda line: log.warning("proposal", found=line))
        self._stack.callback(self._proposals.close)
        self._keeping = Keeping(self._tell_drift, lambda value: self._note("envelope", value), self._propose)
        return auditor

    def _follow(self, config: EdgeConfig, loaded: Artefacts) -> PolicyWatch | None:
        if not Path(config.policy).is_dir():
            return None
        refused = lambda line: log.error("policy refused, the old one stays", reason=line)  # noqa: E731
        self._adopt = Adoption(loaded, self.loop, self._offloader, self._memory, self._begin)
        follower = Follower(loaded, refused, self.loop.check)
        watch = PolicyWatch(follower, self.channel.wake)
        self._stack.callback(watch.close)
        return watch

    def _make_offloader(self, config: EdgeConfig, loaded: Artefacts, *, classes: int) -> Offloader:
        return Offloader(
            self.channel,
            loaded.hello(),
            classes=classes,
            exits=loaded.bundle.manifest.exits,
            ledger=Ledger(config.link.in_flight),
            breaker=self._breaker,
            codecs=loaded.codecs(),
            clock=time.monotonic,
            on_change=lambda line: log.info("link", change=line),
        )

    def _remember(self, config: EdgeConfig, ids: dict[str, str]) -> PolicyMemory:
        path = Path(config.state) if config.state else None
        memory = PolicyMemory(path, ids, every_s=STATE_EVERY_S, clock=time.monotonic)
        if path:
            log.info("state", found=memory.restore(self._rules))
        return memory

    def _listeners(self, config: EdgeConfig, ids: dict[str, str]) -> list[OnOutcome]:
        listeners: list[OnOutcome] = [self._count, self.tally]
        if config.decisions:
            decisions = self._decisions = DecisionLog(Path(config.decisions), ids)
            self._stack.callback(decisions.close)
            listeners.append(lambda _, record: decisions.write(record))
        if config.outcomes:
            sink = JsonLines(config.outcomes)
            self._stack.callback(sink.close)
            listeners.append(sink)
        return listeners

    def _count(self, outcome: Outcome, record: FrameRecord) -> None:
        self.metrics.answered(outcome.where, outcome.degraded, outcome.latency_ms, outcome.marked)
        if record.payload_bytes:
            self.metrics.shipped(record.payload_bytes)

    def _serve(self, config: EdgeConfig) -> None:
        addresses = {"pid": str(os.getpid()), "started_at_s": repr(time.monotonic())}
        if config.http:
            health = Health(
                live=lambda: not self._stopping,
                ready=lambda: not self.feed.ended,
                models=lambda name: name == self._model,
                registry=self.metrics.registry,
            )
            server = HealthServer(config.http, health)
            self._stack.callback(server.close)
            addresses["http"] = server.url
        if config.ready_file:
            write_atomically(Path(config.ready_file), json.dumps(addresses).encode())

    def run(self) -> None:
        """Answer frames until the source ends or `stop` is called; everything in flight is settled first.

        Raises:
            SourceError: the source gave up.
        """
        self.loop.warm_up()
        if self._watch:
            self._watch.start()
        # What exists now lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        self.feed.start()
        with self._stack:
            while not self._done():
                if not self.loop.step():
                    self._wait()
                self._memory.tick(self.loop.rules)
                if self._watch and self._adopt:
                    for change in self._watch.take():
                        self._adopt(change)
        if self.feed.error:
            raise self.feed.error

    def _tell_drift(self, finding: Finding) -> None:
        drift = finding.drift
        seen = {"detector": finding.detector, "exit": finding.exit, **asdict(drift)}
        if drift.fired:
            log.warning("drift: what is seen is not what was calibrated on; the policy's promises are void", **seen)
        else:
            log.info("drift is over; the policy's promises stay void until another policy is active", **seen)
        self._note("drift", seen)
        self._memory.save(self.loop.rules)

    def _begin(self, ids: dict[str, str]) -> None:
        if self._decisions:
            self._decisions.begin(ids)

    def _note_shadow(self, record: ShadowRecord) -> None:
        self._note("shadow", asdict(record))

    def _tell_audit(self, record: AuditRecord, ticket: Ticket) -> None:
        self._note("audit", asdict(record))
        self._keeping.look(ticket.rules)

    def _propose(self, crossing: Crossing) -> None:
        self._proposals.put(self._adopt.artefacts if self._adopt else self._artefacts, crossing)

    def _note(self, kind: str, value: dict[str, Any]) -> None:
        if self._decisions:
            self._decisions.note(kind, value)

    def summary(self) -> dict[str, Any]:
        """What happened since the start, as JSON types."""
        told = self.tally.summary(self.feed.slot.offered, self.feed.slot.dropped)
        return {**told, "audits": self.auditor.tally.summary()} if self.auditor.tally.drawn else told

    def stop(self, *_: int | FrameType | None) -> None:
        """End `run` soon; usable as a signal handler."""
        self._stopping = True
        self.channel.wake()

    def handle_signals(self) -> None:
        """SIGTERM and SIGINT drain: no new frames, what is in flight gets its outcome."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)

    def _done(self) -> bool:
        if self._stopping and not self.feed.ended:
            self.feed.stop()
        return self.feed.ended and self.feed.slot.empty and self.loop.in_flight == 0

    def _wait(self) -> None:
        due_at_s = self.loop.next_event_at()
        left_s = PATIENCE_S if due_at_s is None else due_at_s - time.monotonic()
        self.channel.wait(min(PATIENCE_S, max(0.0, left_s)))
        self.metrics.breaker("open" if self._breaker.is_open else "closed")
        self.metrics.dropped(self.feed.slot.dropped - self._dropped)
        self._dropped = self.feed.slot.dropped
