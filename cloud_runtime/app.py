"""The worker's composition root: the one place here that turns names into objects."""

from __future__ import annotations

import gc
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import structlog

from cloud_runtime.config import CloudConfig
from cloud_runtime.engine import Engines
from cloud_runtime.exchange import Exchange
from cloud_runtime.models import Model, bundle_folders, load_model
from cloud_runtime.server import Server
from split_core.backends.build import make_backend
from split_core.errors import ConfigError
from split_core.files import write_atomically
from split_core.telemetry.http import Health, HealthServer
from split_core.telemetry.metrics import CloudMetrics
from split_core.transport import TRANSPORTS
from split_core.transport.base import Listener
from split_core.transport.keys import worker_curve

log = structlog.get_logger("cloud")


class Worker:
    """One worker, ready to run.

    Attributes:
        address: where devices connect to, with the real port.
        http: where health and metrics are served; None when they are not.
        bundles: ids of what it serves.
    """

    def __init__(
        self, server: Server, engines: Engines, address: str, bundles: tuple[str, ...], health: HealthServer | None
    ) -> None:
        self._server, self._engines, self._health = server, engines, health
        self.address, self.bundles = address, bundles
        self.http = health.url if health else None

    def run(self) -> None:
        """Serve until `stop`; then everything is closed."""
        try:
            self._server.run(self._engines)
        finally:
            self._engines.close(timeout_s=1.0)
            if self._health:
                self._health.close()

    def stop(self) -> None:
        """End `run` in good order; from any thread or a signal handler."""
        self._server.stop()


def build_worker(config: CloudConfig, clock: Callable[[], float] = time.monotonic) -> Worker:
    """Load the bundles and open the sockets.

    Raises:
        ConfigError: no bundles there, no keys there, or an address that cannot be used.
        BundleError: a bundle is damaged or not certified.
        BackendError: the backend cannot load or run a segment.
        LinkError: the listening address cannot be used.
    """
    backend = make_backend(config.backend, config.backend_options)
    folders = bundle_folders(config.bundles)
    loaded = [
        load_model(folder, backend, threads=config.threads, engines=config.engines, precision=config.precision)
        for folder in folders
    ]
    models = {model.id: model for model in loaded}
    seconds = {model.id: model.rehearse(clock) for model in models.values()}
    metrics = CloudMetrics()
    exchange = Exchange(models, seconds, config.limits, name=config.name, engines=config.engines, metrics=metrics)
    metrics.watch_queue(lambda: exchange.queued_rows)
    listener = _listen(config)
    server = Server(
        listener, exchange, metrics, clock=clock, drain_s=config.limits.drain_s, computes_here=backend.shares_sessions
    )
    health = _serve_health(config, server, models, metrics, listener)
    engines = Engines(exchange, models, count=config.engines, clock=clock, wake=server.wake)
    return Worker(server, engines, listener.address, tuple(models), health)


def _listen(config: CloudConfig) -> Listener:
    curve = worker_curve(config.curve.secret_key, config.curve.clients) if config.curve else None
    listener: Listener = TRANSPORTS.load("zmq")(curve).listen(config.listen)
    return listener


def _serve_health(
    config: CloudConfig, server: Server, models: dict[str, Model], metrics: CloudMetrics, listener: Listener
) -> HealthServer | None:
    if config.http is None:
        return None
    names = {name for model in models.values() for name in (model.name, model.id)}
    health = Health(
        live=server.alive,
        ready=lambda: server.alive() and not server.stopping,
        models=names.__contains__,
        registry=metrics.registry,
    )
    try:
        return HealthServer(config.http, health)
    except ConfigError:
        listener.close()
        raise


def serve(config: CloudConfig, ready_file: Path | None) -> int:
    """Run a worker in this process until SIGTERM or SIGINT; returns the exit code, 0 or 130.

    Args:
        config: what to serve, and how.
        ready_file: written when devices may connect: JSON with address, http, pid and bundles.

    Raises:
        SplitError: as `build_worker`.
    """
    worker = build_worker(config)
    signals: list[int] = []

    def end(number: int, _: FrameType | None) -> None:
        signals.append(number)
        worker.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    log.info("worker ready", address=worker.address, http=worker.http, bundles=[b[:12] for b in worker.bundles])
    if ready_file is not None:
        _announce(worker, ready_file)
    # Everything loaded so far stays for good: a full collection that walks it stops the listener for 3 ms.
    gc.collect()
    gc.freeze()
    worker.run()
    log.info("worker stopped", signal=signal.Signals(signals[0]).name if signals else None)
    return 130 if signal.SIGINT in signals else 0


def _announce(worker: Worker, path: Path) -> None:
    facts = {"address": worker.address, "http": worker.http, "pid": os.getpid(), "bundles": list(worker.bundles)}
    try:
        write_atomically(path, json.dumps(facts).encode())
    except OSError as error:
        raise ConfigError(f"{path}: the ready file cannot be written ({error.strerror})") from error
