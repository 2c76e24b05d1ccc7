"""What one camera of a device has for itself: its frames, its rules, and what is remembered of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from bandits.envelope import Crossing
from edge_runtime.artefacts import Artefacts
from edge_runtime.config import EdgeConfig
from edge_runtime.following.keeping import Keeping, promise
from edge_runtime.following.memory import PolicyMemory
from edge_runtime.frames.deployment import Deployment
from edge_runtime.frames.stream import Stream
from edge_runtime.sources.feed import Feed
from edge_runtime.sources.live import LiveFeed
from split_core.drift.monitor import Finding
from split_core.telemetry.decisions import DecisionLog, FrameRecord
from split_core.telemetry.metrics import EdgeMetrics

log = structlog.get_logger("edge")

STATE_EVERY_S = 5.0


class Camera:
    """One camera; `close` when its last frame has its outcome.

    Args:
        name: told with outcomes and metrics.
        loaded: the files that it runs on, with its own configuration.
        feed: its frames.
        deployment: what they run through.
        propose: told when audits have broken a promise.
        clock: monotonic seconds.

    Attributes:
        name, feed: as given.
        artefacts: in force now; `adopt` replaces them.
        stream: what the frame loop needs of it.
        memory: what its policies learned.
        keeping: looks after its envelope.
    """

    def __init__(
        self,
        name: str,
        loaded: Artefacts,
        feed: Feed | LiveFeed,
        deployment: Deployment,
        *,
        propose: Callable[[Artefacts, Crossing], None],
        clock: Callable[[], float],
    ) -> None:
        config = loaded.config
        self.name, self.feed, self.artefacts = name, feed, loaded
        self.stream = Stream(name, feed.slot, loaded.rules(), deployment)
        path = Path(config.state) if config.state else None
        self.memory = PolicyMemory(
            path, loaded.ids, every_s=STATE_EVERY_S, clock=clock, tell=partial(_tell_file, name, config.state)
        )
        if path:
            log.info("state", camera=name, found=self.memory.restore(self.stream.rules))
        self._decisions = self._log(name, config, loaded.ids) if config.decisions else None
        self.keeping = Keeping(
            self.tell_drift, lambda value: self.note("envelope", value), lambda found: propose(self.artefacts, found)
        )

    @staticmethod
    def _log(name: str, config: EdgeConfig, ids: dict[str, str]) -> DecisionLog:
        max_bytes, tell = int(config.decisions_mb * 1e6), partial(_tell_file, name, config.decisions)
        return DecisionLog(Path(config.decisions), ids, max_bytes=max_bytes, keep=config.decisions_keep, tell=tell)

    @property
    def unwritten(self) -> dict[str, int]:
        """What its disk did not take: records of the decision log, savings of the state."""
        return {"decisions": self._decisions.lost if self._decisions else 0, "state": self.memory.unsaved}

    @property
    def sees(self) -> bool:
        """Do frames come?"""
        return self.feed.sees

    @property
    def finished(self) -> bool:
        """Will no frame of it come any more?"""
        return self.feed.ended and self.feed.slot.empty

    def show(self, metrics: EdgeMetrics) -> None:
        """Let its frames, its drift, its promise and what its disk did not take be read at every scrape."""
        metrics.watch_drift(self.name, lambda: self.stream.rules.monitor)
        metrics.watch_promise(self.name, lambda: promise(self.stream.rules))
        metrics.watch_unwritten(self.name, lambda: self.unwritten)
        metrics.watch_source(self.name, lambda: (self.feed.slot.drops, self.feed.connections, self.feed.sees))

    def tick(self) -> None:
        """Save what was learned, if it is time to."""
        self.memory.tick(self.stream.rules)

    def write(self, record: FrameRecord) -> None:
        """Into its decision log; never blocks."""
        if self._decisions:
            self._decisions.write(record)

    def note(self, kind: str, value: dict[str, Any]) -> None:
        """Into its decision log: a line that is no frame; never blocks."""
        if self._decisions:
            self._decisions.note(kind, value)

    def configure(self, config: EdgeConfig) -> None:
        """Other settings are in force from the next frame on, as far as they can change; the policy stays."""
        artefacts = self.artefacts = self.artefacts.of_camera(config)
        deployment, rules = self.stream.deployment, self.stream.rules
        self.stream.deployment = replace(deployment, budget=artefacts.budget(deployment.costs))
        self.stream.rules = replace(rules, audit=artefacts.audit_share)
        if config.source:
            self.feed.pace(config.source.fps)
        if self._decisions:
            self._decisions.bound(int(config.decisions_mb * 1e6), config.decisions_keep)

    def adopted(self, artefacts: Artefacts) -> None:
        """Other files are in force from here on."""
        self.artefacts = artefacts
        if self._decisions:
            self._decisions.begin(artefacts.ids)

    def tell_drift(self, finding: Finding) -> None:
        """A finding of its monitor, or of its audits, has changed."""
        drift = finding.drift
        seen = {"detector": finding.detector, "exit": finding.exit, **asdict(drift)}
        if drift.fired:
            line = "drift: what is seen is not what was calibrated on; the policy's promises are void"
            log.warning(line, camera=self.name, **seen)
        else:
            line = "drift is over; the policy's promises stay void until another policy is active"
            log.info(line, camera=self.name, **seen)
        self.note("drift", seen)
        self.memory.save(self.stream.rules)

    def close(self) -> None:
        """Save for the last time."""
        self.memory.close(self.stream.rules)
        if self._decisions:
            self._decisions.close()


def _tell_file(camera: str, path: str, line: str) -> None:
    log.warning("disk", camera=camera, file=path, change=line)
