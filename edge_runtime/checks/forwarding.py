"""A configured backlog becomes objects."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import structlog

from edge_runtime.camera import Camera
from edge_runtime.checks.backlog import Backlog
from edge_runtime.checks.forwarder import Checked, Forwarder
from edge_runtime.config import BacklogSection
from edge_runtime.link.offload import Offloader
from split_core.telemetry.metrics import EdgeMetrics

log = structlog.get_logger("edge")


def open_forwarder(
    section: BacklogSection | None,
    offloader: Offloader,
    cameras: Mapping[str, Camera],
    metrics: EdgeMetrics,
    closing: ExitStack,
) -> Forwarder | None:
    """What keeps frames for later; None where none is configured.

    Args:
        section: as configured.
        offloader: the way to the worker.
        cameras: whose logs get what came back.
        metrics: get what is counted.
        closing: is given what closes it.
    """
    if section is None:
        return None
    path = Path(section.path)
    tell = lambda line: log.warning("disk", file=str(path), change=line)  # noqa: E731
    backlog = Backlog(path, int(section.megabytes * 1e6), section.drop, tell)
    closing.callback(backlog.close)
    first = next(iter(cameras.values()))
    forwarder = Forwarder(
        backlog,
        frozenset(section.keep),
        offloader,
        lambda: first.stream.deployment.prefix.network,
        clock=time.monotonic,
        on_checked=lambda checked: _note(cameras, checked),
    )
    metrics.watch(forwarder.families)
    return forwarder


def _note(cameras: Mapping[str, Camera], checked: Checked) -> None:
    camera = cameras.get(checked.camera)  # none where it was kept under another configuration
    if camera:
        camera.note("checked", {**asdict(checked), "agrees": checked.agrees})
