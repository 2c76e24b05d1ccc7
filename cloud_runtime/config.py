"""What a worker is told: the YAML file of `offramp cloud`.  Paths are relative to where it is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from split_core.config import Section


class Limits(Section):
    """How much a worker takes on.  All sizes are in rows: one sample is one row, whatever a request carries.

    Attributes:
        max_batch_size: rows that one segment runs on at once.
        max_queue_size: rows that may wait; more are refused with a time to come back.
        camera_share: the part of the queue that one camera may hold while others wait.
        drain_s: how long a worker that was told to stop goes on with what it has taken.
    """

    max_batch_size: int = Field(default=16, ge=1, le=4096)
    max_queue_size: int = Field(default=256, ge=1, le=65_536)
    camera_share: float = Field(default=0.5, gt=0.0, le=1.0)
    drain_s: float = Field(default=5.0, ge=0.0, le=600.0)


class CurveSection(Section):
    """Keys, as made by `offramp keys`.

    Attributes:
        secret_key: the worker's `.key_secret` file.
        clients: folder with the `.key` files of the devices that may connect; without it every device
            may that knows the worker's public key.
    """

    secret_key: Path
    clients: Path | None = None


class CloudConfig(Section):
    """Everything about one worker.

    Attributes:
        name: what devices and probes see.
        listen: ZeroMQ address; port 0 or `*` takes a free one.
        bundles: folders of bundles, or folders that hold `<name>/<version>/` of several.
        backend: name in `split_core.backends.BACKENDS`.
        backend_options: what that backend takes: `precision`, `ranges`, ...
        precision: of the pieces, one that every bundle has; empty takes them as exported.
        engines: threads that compute.
        threads: intra-op threads of each.
        curve: keys of the encrypted link.
        plain: True sends everything in the clear; there is no way into this but asking for it.
        http: "host:port" of health and metrics; None serves none.
    """

    name: str = Field(default="worker", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    listen: str = "tcp://0.0.0.0:5555"
    bundles: tuple[Path, ...] = Field(min_length=1)
    backend: str = "onnxruntime"
    backend_options: dict[str, Any] = Field(default_factory=dict)
    precision: str = ""
    engines: int = Field(default=1, ge=1, le=64)
    threads: int = Field(default=1, ge=1, le=256)
    limits: Limits = Limits()
    curve: CurveSection | None = None
    plain: bool = False
    http: str | None = None

    @model_validator(mode="after")
    def _says_how_safe_it_is(self) -> CloudConfig:
        if self.curve is None and not self.plain:
            raise ValueError("no keys; set curve.secret_key (see 'offramp keys'), or ask for 'plain: true'")
        if self.curve is not None and self.plain:
            raise ValueError("both curve and 'plain: true' are set; remove one")
        return self
