"""Where a peer of a sink is, and whom to trust on the way."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from split_core.errors import ConfigError, reason


@dataclass(frozen=True, slots=True)
class Place:
    """What a URL says.

    Attributes:
        scheme, host, port: of the peer.
        path: with its query; "/" where none was given.
    """

    scheme: str
    host: str
    port: int
    path: str

    @staticmethod
    def of(name: str, url: str, ports: Mapping[str, int]) -> Place:
        """Read a URL, which may be a secret: no message shows it.

        Args:
            name: of the option, for messages.
            url: `scheme://host:port/path`.
            ports: the usual one of each scheme.

        Raises:
            ConfigError: it is none, or has a user in it.
        """
        forms = " or ".join(f"{scheme}://host:{port}" for scheme, port in ports.items())
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ConfigError(f"{name}: not an address; expected {forms}") from error
        host = parts.hostname or ""
        plain = url.isascii() and url.isprintable() and " " not in url and parts.username is None
        if parts.scheme not in ports or not plain or not _is_host(host):
            raise ConfigError(f"{name}: not an address; expected {forms}, in ASCII and without a user")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return Place(parts.scheme, host, port or ports[parts.scheme], path)

    @property
    def peer(self) -> str:
        """Host and port, for messages."""
        return f"{self.host}:{self.port}"


def _is_host(host: str) -> bool:
    """Would the resolver at least look it up?"""
    return 0 < len(host) <= 253 and all(0 < len(label) < 64 for label in host.rstrip(".").split("."))


def tls_context(ca: str) -> ssl.SSLContext:
    """Trust who signed with the certificates of a file; whom the system trusts, when it is empty.

    Raises:
        ConfigError: no such file of certificates.
    """
    try:
        return ssl.create_default_context(cafile=ca or None)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"ca: {ca} cannot be read ({reason_of(error)}); expected certificates in PEM") from error


def reason_of(error: Exception) -> str:
    """Why TLS or a socket refuses, in words."""
    return str(getattr(error, "verify_message", "")) or reason(error) or type(error).__name__
