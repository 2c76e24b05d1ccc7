"""`offramp cloud`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cloud_runtime.app import serve
from cloud_runtime.config import CloudConfig
from split_core import config
from split_core.errors import ConfigError
from split_core.telemetry.logs import log_to_stderr


def cloud(
    target: Annotated[
        Path, typer.Argument(metavar="CONFIG|BUNDLES", help="YAML, see configs/cloud.yaml; or a folder of bundles.")
    ],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Replace a setting: --set limits.max_batch_size=32")
    ] = None,
    listen: Annotated[str | None, typer.Option(help="Where devices connect to: tcp://0.0.0.0:5555.")] = None,
    keys: Annotated[
        Path | None, typer.Option(help="Folder with worker.key_secret and, if only some devices may, clients/.")
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="No encryption and no authentication.")] = False,
    ready_file: Annotated[
        Path | None, typer.Option(help="JSON to write once devices may connect: address, http, pid, bundles.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Log JSON lines.")] = False,
) -> None:
    """Run an offload worker until SIGTERM; it then finishes what it has taken."""
    log_to_stderr(as_json=as_json)
    options = _options(listen, keys, plain)
    if target.is_dir():
        if overrides:
            raise ConfigError("--set needs a configuration file; start from configs/cloud.yaml")
        settings = config.parsed({"bundles": [target], **options}, CloudConfig, str(target))
    elif options:
        raise ConfigError(
            f"{target}: no folder of bundles, with which --listen, --keys and --plain go; use --set with a file"
        )
    else:
        settings = config.load(target, CloudConfig, overrides or ())
    raise typer.Exit(serve(settings, ready_file))


def _options(listen: str | None, keys: Path | None, plain: bool) -> dict[str, Any]:
    """The settings that were given as options."""
    options: dict[str, Any] = {"listen": listen} if listen else {}
    if keys is not None:
        clients = keys / "clients"
        options["curve"] = {"secret_key": keys / "worker.key_secret", "clients": clients if clients.is_dir() else None}
    return {**options, "plain": True} if plain else options
