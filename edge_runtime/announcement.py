"""How others hear of a camera's program that runs: health and metrics over HTTP, and a file with the addresses."""

from __future__ import annotations

import json
import os
import time
from contextlib import ExitStack
from pathlib import Path

import structlog

from edge_runtime.config import EdgeConfig
from split_core.files import write_atomically
from split_core.telemetry.http import Health, HealthServer
from split_core.telemetry.writability import may_pass

log = structlog.get_logger("edge")


def announce(config: EdgeConfig, health: Health, closing: ExitStack) -> None:
    """Do both, as far as they are asked for.

    Args:
        config: says where.
        health: to be served.
        closing: is given what ends it.

    Raises:
        ConfigError: the address cannot be used.
        OSError: there can be no such file; a disk that is full or read-only is no reason not to run.
    """
    addresses = {"pid": str(os.getpid()), "started_at_s": repr(time.monotonic())}
    if config.http:
        server = HealthServer(config.http, health)
        closing.callback(server.close)
        addresses["http"] = server.url
    if not config.ready_file:
        return
    try:
        write_atomically(Path(config.ready_file), json.dumps(addresses).encode())
    except OSError as error:
        if not may_pass(error):
            raise
        log.warning("disk", file=config.ready_file, change=f"cannot be written ({error.strerror})")
