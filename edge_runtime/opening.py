"""Names in a camera's configuration become a source of frames and a way to the workers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from itertools import zip_longest
from pathlib import Path

import numpy as np

from edge_runtime.artefacts import Artefacts
from edge_runtime.config import EdgeConfig, LinkSection, SourceSection
from edge_runtime.link.allowance import Allowance
from edge_runtime.link.breaker import Breaker
from edge_runtime.link.greetings import Greetings
from edge_runtime.link.ledger import Ledger
from edge_runtime.link.offload import Offloader
from edge_runtime.link.worker_link import WorkerLink
from edge_runtime.sources import SOURCES
from edge_runtime.sources.base import LiveSource, Source
from edge_runtime.sources.feed import Feed
from edge_runtime.sources.live import LiveFeed
from split_core.errors import ConfigError
from split_core.transport import TRANSPORTS
from split_core.transport.base import Channel
from split_core.transport.keys import device_curve
from split_core.transport.nobody import Nobody

WORKER_STREAM = 2  # of randomness, beside the policy's own and the audits'


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


def make_feed(
    section: SourceSection, source: Source | None, wake: Callable[[], None], tell: Callable[[str], None]
) -> Feed | LiveFeed:
    """The frames of the configured source, or of another one.

    Args:
        section: as configured.
        source: instead of the configured one.
        wake: called when a frame has come.
        tell: told in one line when frames stop or cannot be read, and when they come again.

    Raises:
        ConfigError: as `make_source`.
    """
    first = source or make_source(section)
    if isinstance(first, LiveSource):
        return LiveFeed(
            partial(_live, section, source),
            fps=section.fps,
            limit=section.limit,
            motion=section.motion,
            watchdog_s=section.watchdog_s,
            tell=tell,
            clock=time.monotonic,
            wake=wake,
            rng=np.random.default_rng(),
        )
    return Feed(
        first,
        fps=section.fps,
        limit=section.limit,
        every=section.every,
        clock=time.monotonic,
        wake=wake,
        tell=tell,
    )


def _live(section: SourceSection, source: Source | None) -> LiveSource:
    """A camera to connect to once more."""
    fresh = source or make_source(section)
    assert isinstance(fresh, LiveSource)
    return fresh


def open_channels(link: LinkSection, closing: ExitStack) -> dict[str, Channel]:
    """The ways to the workers by their addresses; one that leads nowhere when there is none.

    Args:
        link: as configured.
        closing: is given what closes them.

    Raises:
        ConfigError: keys cannot be read.
        LinkError: an address is not one.
    """
    if not link.address:
        return {"": Nobody()}
    channels: dict[str, Channel] = {}
    secret = Path(link.secret_key) if link.secret_key else None
    keys = link.server_key if len(link.server_key) > 1 else link.server_key * len(link.address)
    for address, key in zip_longest(link.address, keys):
        curve = device_curve(Path(key), secret) if key else None
        channels[address] = TRANSPORTS.load(link.transport)(curve).connect(address)
        closing.callback(channels[address].close)
    return channels


def make_offloader(
    config: EdgeConfig, channels: Mapping[str, Channel], loaded: Artefacts, tell: Callable[[str, str], None]
) -> Offloader:
    """The way to the cloud.

    Args:
        config: checked.
        channels: by address.
        loaded: bundle and policy, which say what a worker must have.
        tell: given a worker's address, and in one line what has changed.
    """
    link = config.link
    links = [
        WorkerLink(
            channel,
            loaded.hello(),
            ledger=Ledger(link.in_flight),
            breaker=Breaker(
                failures=link.failures,
                probe_every_s=link.probe_every_ms / 1e3,
                answer_within_s=config.deadline_ms / 1e3,
            ),
            clock=time.monotonic,
            on_change=partial(tell, address) if address else lambda _: None,
            greetings=Greetings(),
        )
        for address, channel in channels.items()
    ]
    allowance = Allowance(link.mb_per_hour * 1e6, link.max_per_s)
    rng = np.random.default_rng((config.seed, WORKER_STREAM))
    return Offloader(links, loaded.codecs(), clock=time.monotonic, rng=rng, allowance=allowance)
