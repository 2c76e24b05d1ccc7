"""Names in a camera's configuration become a source of frames and a way to the worker."""

from __future__ import annotations

from pathlib import Path

from edge_runtime.config import LinkSection, SourceSection
from edge_runtime.sources import SOURCES
from edge_runtime.sources.base import Source
from split_core.errors import ConfigError
from split_core.transport import TRANSPORTS
from split_core.transport.base import Channel
from split_core.transport.keys import device_curve
from split_core.transport.nobody import Nobody


def make_source(section: SourceSection) -> Source:
    """The configured source.

    Raises:
        ConfigError: no such kind, or an option that it does not take.
    """
    try:
        source: Source = SOURCES.load(section.kind)(**section.options)
    except TypeError as error:
        raise ConfigError(
            f"source.options: {error}; docs/camera.md lists what the source {section.kind!r} takes"
        ) from error
    return source


def open_channel(link: LinkSection) -> Channel:
    """The way to the worker; one that leads nowhere when no address is given.

    Raises:
        ConfigError: keys cannot be read.
        LinkError: the address is not one.
    """
    if not link.address:
        return Nobody()
    curve = None
    if link.server_key:
        curve = device_curve(Path(link.server_key), Path(link.secret_key) if link.secret_key else None)
    channel: Channel = TRANSPORTS.load(link.transport)(curve).connect(link.address)
    return channel
