"""Composition root of the camera's program: the one place where names become objects."""

from __future__ import annotations

import gc
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import structlog

from edge_runtime import artefacts
from edge_runtime.announcement import announce
from edge_runtime.artefacts import Artefacts
from edge_runtime.camera import Camera
from edge_runtime.checks.audit import Auditor
from edge_runtime.checks.forwarding import open_forwarder
from edge_runtime.config import EdgeConfig
from edge_runtime.energy import open_meter
from edge_runtime.following.adoption import Adoption
from edge_runtime.following.policy_watch import Follower, PolicyWatch
from edge_runtime.following.proposal import Proposals
from edge_runtime.following.shadow import ShadowDesk
from edge_runtime.frames.deployment import Deployment
from edge_runtime.frames.hedge import Hedge
from edge_runtime.frames.loop import EdgeLoop, OnOutcome
from edge_runtime.frames.outcomes import Outcome, Tally
from edge_runtime.frames.ticket import Ticket
from edge_runtime.frames.together import together_at
from edge_runtime.opening import make_feed, make_offloader, open_channels
from edge_runtime.pulse import Pulse, Supervisor
from edge_runtime.releases.changeover import Changeover
from edge_runtime.releases.releases import Releases, follow_releases
from edge_runtime.reload import Reloader
from edge_runtime.sinks.opening import open_sinks
from edge_runtime.sinks.sink import close_all, losses
from edge_runtime.sources.base import Source
from split_core.readings import Reader
from split_core.telemetry.audit import AuditRecord
from split_core.telemetry.decisions import FrameRecord
from split_core.telemetry.http import Health
from split_core.telemetry.metrics import EdgeMetrics
from split_core.telemetry.shadow import ShadowRecord
from split_core.transport.base import Channel

log = structlog.get_logger("edge")

AUDIT_STREAM = 1  # of randomness, beside the policy's own
PATIENCE_S = 0.25  # longest wait before the loop looks whether it shall stop


class EdgeApp:
    """One device with its cameras, ready to run.

    Args:
        config: checked.
        channels: replace the configured ones, by the worker's address; for people who embed the camera.
        sources: replace the configured ones, by camera.
        on_outcome: called with every outcome, in a thread of its own; it may take its time, as a sink may.

    Raises:
        SplitError: bundle, policy, profile, keys or a source are not usable; nothing is left running.
    """

    def __init__(
        self,
        config: EdgeConfig,
        *,
        channels: Mapping[str, Channel] | None = None,
        sources: Mapping[str, Source] | None = None,
        on_outcome: Callable[[Outcome], Any] | None = None,
    ) -> None:
        self._stack, self._on_outcome = ExitStack(), on_outcome
        with ExitStack() as undo:
            undo.callback(self._stack.close)
            self._build(config, channels, sources or {})
            undo.pop_all()

    def _build(self, config: EdgeConfig, channels: Mapping[str, Channel] | None, sources: Mapping[str, Source]) -> None:
        section, config = config.releases, artefacts.in_force(config)
        loaded = artefacts.load(config, lambda line: log.warning("guardrail", reason=line))
        self._stopping = False
        self._pulse = Pulse(Supervisor(), time.monotonic)
        channels = channels or open_channels(config.link, self._stack)
        self._channel, *self._others = channels.values()
        self.metrics, self.tally = EdgeMetrics(), Tally()
        self._proposals = Proposals(lambda line: log.warning("proposal", found=line))
        self._stack.callback(self._proposals.close)
        self._shadow = ShadowDesk(self._note_shadow, lambda line: log.error("shadow stopped", reason=line))
        shared = loaded.deployment()
        self.cameras = {
            name: self._add_camera(name, loaded.of_camera(own), shared, sources.get(name))
            for name, own in config.cameras().items()
        }
        self._stack.callback(self._shadow.close)  # before the cameras: it still has something to note
        told = lambda worker, line: log.info("link", worker=worker, change=line)  # noqa: E731
        self._offloader = make_offloader(config, channels, loaded, told)
        states = dict(zip(channels, (link.breaker for link in self._offloader.links), strict=True))
        self.metrics.watch_breakers(lambda: {worker: breaker.state for worker, breaker in states.items() if worker})
        self.loop = self._make_loop(config)
        self._meter = open_meter(self._stack, self.metrics, self._price_energy)
        self._watch_for_metrics(loaded)
        self._adopt = {name: Adoption(camera, self._offloader) for name, camera in self.cameras.items()}
        self._watch = self._follow(config)
        self._reloader = Reloader(config, self.cameras, self._check, self.wake)
        self.releases: Releases | None = None
        if section:
            change = Changeover(self.cameras, self.loop, self._offloader)
            self.releases = follow_releases(section, self._reloader, change, self.wake, self._stack)
            self.metrics.watch(self.releases.families)
        self._serve(config)
        shown = {key: loaded.ids[key][:12] for key in ("bundle", "policy", "bandit")}
        log.info("ready", cameras=list(self.cameras), **shown)

    def _add_camera(self, name: str, loaded: Artefacts, shared: Deployment, source: Source | None) -> Camera:
        section = loaded.config.source
        assert section is not None
        deployment = replace(shared, budget=loaded.budget(shared.costs))
        feed = make_feed(section, source, self.wake, lambda line: log.info("source", camera=name, change=line))
        camera = Camera(name, loaded, feed, deployment, propose=self._proposals.put, clock=time.monotonic)
        self._stack.callback(camera.close)
        return camera

    def _make_loop(self, config: EdgeConfig) -> EdgeLoop:
        self.auditor = Auditor(
            self._offloader,
            rng=np.random.default_rng((config.seed, AUDIT_STREAM)),
            patience_s=config.audit.patience_ms / 1e3,
            clock=time.monotonic,
            on_audit=self._tell_audit,
            forwarder=open_forwarder(config.backlog, self._offloader, self.cameras, self.metrics, self._stack),
        )
        self._hedge = Hedge() if config.link.hedge else None
        return EdgeLoop(
            [camera.stream for camera in self.cameras.values()],
            offloader=self._offloader,
            clock=time.monotonic,
            on_outcome=self._listeners(config),
            on_drift=lambda camera, finding: self.cameras[camera].tell_drift(finding),
            on_shadowed=self._shadow.put,
            auditor=self.auditor,
            hedge=self._hedge,
        )

    def _watch_for_metrics(self, loaded: Artefacts) -> None:
        metrics, shadow, auditor, guardrail = self.metrics, self._shadow, self.auditor, loaded.guardrail
        metrics.watch_shadow(lambda: shadow.tally, lambda: shadow.lost)
        metrics.watch_guardrail(lambda: guardrail.errors if guardrail else 0)
        metrics.watch_audits(lambda: auditor.tally)
        if self._hedge:
            metrics.watch_hedges(self._hedge.won)
        for camera in self.cameras.values():
            camera.show(metrics)

    def _follow(self, config: EdgeConfig) -> PolicyWatch | None:
        if not Path(config.policy).is_dir():
            return None
        refused = lambda line: log.error("policy refused, the old one stays", reason=line)  # noqa: E731
        followers = {name: Follower(camera.artefacts, refused, self._check) for name, camera in self.cameras.items()}
        watch = PolicyWatch(followers, self.wake)
        self._stack.callback(watch.close)
        return watch

    def _check(self, reader: Reader) -> None:
        """Refuse what cannot read the network that runs."""
        next(iter(self.cameras.values())).stream.deployment.probe.check(reader)

    def _listeners(self, config: EdgeConfig) -> list[OnOutcome]:
        listeners: list[OnOutcome] = [self._count, self.tally]
        if config.decisions:
            listeners.append(lambda outcome, record: self.cameras[outcome.camera].write(record))
        self._sinks = open_sinks(config, lambda name, line: log.info("sink", name=name, change=line), self._on_outcome)
        self._stack.callback(close_all, self._sinks)
        self.metrics.watch_sinks(lambda: losses(self._sinks))
        return [*listeners, *self._sinks]

    def _count(self, outcome: Outcome, record: FrameRecord) -> None:
        self.metrics.answered(outcome.camera, outcome.where, outcome.degraded, outcome.latency_ms, outcome.marked)
        if record.payload_bytes:
            self.metrics.shipped(record.payload_bytes)

    def _serve(self, config: EdgeConfig) -> None:
        health = Health(
            live=lambda: self._pulse.alive,
            ready=lambda: not self._stopping and any(camera.sees for camera in self.cameras.values()),
            models=lambda name: name in {one.artefacts.bundle.manifest.name for one in self.cameras.values()},
            registry=self.metrics.registry,
        )
        announce(config, health, self._stack)

    def warm_up(self) -> None:
        """Run something blank through the network, and see that every camera's rules can read it.

        Raises:
            BackendError: the engine refuses the network.
            ConfigError: a criterion does not fit the network's hidden states.
        """
        shared = next(iter(self.cameras.values())).stream.deployment
        shared.probe.compute()
        for camera in self.cameras.values():
            self._check(camera.stream.rules.reader)
        if len(self.cameras) > 1:
            self.loop.together = together_at(self._reloader.config.together, shared.prefix, len(self.cameras))
            log.info("cameras share the engines", cameras=len(self.cameras), frames_together=self.loop.together)

    def run(self) -> None:
        """Answer frames until all sources end or `stop` is called; everything in flight is settled first.

        Raises:
            SourceError: a source gave up.
        """
        self.warm_up()
        if self._watch:
            self._watch.start()
        # What exists now lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        for camera in self.cameras.values():
            camera.feed.start()
        self._pulse.begin()
        with self._stack:
            while not self._done():
                self._turn()
        for camera in self.cameras.values():
            if camera.feed.error:
                raise camera.feed.error

    def _turn(self) -> None:
        self._pulse.beat()
        if not self.loop.step():
            self._wait()
        for camera in self.cameras.values():
            camera.tick()
        if self._watch:
            for name, change in self._watch.take():
                self._adopt[name](change)
        self._reloader.tick(self._adopt, self._watch)
        if self.releases:
            self.releases.tick()

    def _price_energy(self, watts: float | None) -> None:
        for camera in self.cameras.values():
            camera.stream.deployment.costs.watts = watts

    def _note_shadow(self, camera: str, record: ShadowRecord) -> None:
        self.cameras[camera].note("shadow", asdict(record))

    def _tell_audit(self, record: AuditRecord, ticket: Ticket) -> None:
        camera = self.cameras[ticket.camera]
        camera.note("audit", asdict(record))
        camera.keeping.look(ticket.rules)

    def summary(self) -> dict[str, Any]:
        """What happened since the start, as JSON types."""
        slots = {name: camera.feed.slot for name, camera in self.cameras.items()}
        told = self.tally.summary({name: (slot.offered, slot.drops) for name, slot in slots.items()})
        unwritten = {name: sum(camera.unwritten.values()) for name, camera in self.cameras.items()}
        found = {
            "outcomes_lost": losses(self._sinks),
            "unwritten": unwritten if any(unwritten.values()) else {},
            "audits": self.auditor.tally.summary() if self.auditor.tally.drawn else {},
            "energy": self._meter.summary(self.tally.outcomes) if self._meter else {},
        }
        return told | {name: value for name, value in found.items() if value}

    def stop(self, *_: int | FrameType | None) -> None:
        """End `run` soon; usable as a signal handler."""
        self._stopping = True
        self._pulse.end()
        self.wake()

    def wake(self) -> None:
        """End a wait for frames and messages; from any thread."""
        self._channel.wake()

    def handle_signals(self, read: Callable[[], EdgeConfig]) -> None:
        """SIGTERM and SIGINT drain: what is in flight gets its outcome.  SIGHUP calls `read` for the settings again."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)
        self._reloader.read = read
        signal.signal(signal.SIGHUP, self._reloader.ask)

    def _done(self) -> bool:
        cameras = self.cameras.values()
        if self._stopping:
            for camera in cameras:
                if not camera.feed.ended:
                    camera.feed.stop()
        return self.loop.in_flight == 0 and all(camera.finished for camera in cameras)

    def _wait(self) -> None:
        due_at_s = self.loop.next_event_at()
        left_s = PATIENCE_S if due_at_s is None else due_at_s - time.monotonic()
        self._channel.wait(min(PATIENCE_S, max(0.0, left_s)), *self._others)
