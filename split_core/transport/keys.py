"""CURVE keys: files in pyzmq's certificate format, made by `offramp keys`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import zmq
from zmq.auth import create_certificates, load_certificate

from split_core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Curve:
    """What one end needs.  Keys are Z85 text as bytes.

    Attributes:
        public, secret: this end's own pair.
        server: the worker's public key; on a device only.
        clients: folder with the public keys of the devices that may connect; on a worker only.  None lets
            every device in that knows the worker's public key.
    """

    public: bytes
    secret: bytes
    server: bytes | None = None
    clients: Path | None = None


def make_keys(folder: Path, name: str) -> tuple[Path, Path]:
    """Make `<name>.key` (public) and `<name>.key_secret` in `folder`; returns both paths.

    Raises:
        ConfigError: they are there already, or the folder cannot be written.
    """
    public, secret = folder / f"{name}.key", folder / f"{name}.key_secret"
    if public.exists() or secret.exists():
        raise ConfigError(f"{public}: exists already; delete it to make a new pair")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        before = os.umask(0o077)  # the secret must never be readable by others, not even for a moment
        try:
            create_certificates(folder, name)
        finally:
            os.umask(before)
        public.chmod(0o644)
    except OSError as error:
        raise ConfigError(f"{folder}: keys cannot be written ({error.strerror})") from error
    return public, secret


def worker_curve(secret: Path, clients: Path | None = None) -> Curve:
    """Keys of a worker, from its `.key_secret` file.

    Raises:
        ConfigError: no such file, or no keys in it.
    """
    return Curve(*_pair(secret), clients=clients)


def device_curve(server: Path, secret: Path | None = None) -> Curve:
    """Keys of a device: the worker's `.key`, and its own `.key_secret` (a throw-away pair without one).

    Raises:
        ConfigError: no such file, or no keys in it.
    """
    public, private = _pair(secret) if secret else zmq.curve_keypair()
    return Curve(public, private, server=_load(server)[0])


def _pair(path: Path) -> tuple[bytes, bytes]:
    public, secret = _load(path)
    if secret is None:
        raise ConfigError(f"{path}: has no secret key; give the .key_secret file")
    return public, secret


def _load(path: Path) -> tuple[bytes, bytes | None]:
    try:
        public, secret = load_certificate(path)
    except (OSError, ValueError) as error:
        why = "it holds none" if path.is_file() else "no such file"
        raise ConfigError(f"{path}: no CURVE key ({why}); make one with 'offramp keys'") from error
    return public, secret
