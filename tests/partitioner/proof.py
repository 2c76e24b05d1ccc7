"""Bundles in memory, and their proof."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from partitioner.cut import Parts, cut
from partitioner.manifest import Identity, manifest_of
from partitioner.network import Network
from partitioner.verify import Trial, verify
from split_core.bundle import Bundle
from tests.tiny import PREPROCESS

TINY = Identity(name="tiny", preprocess=PREPROCESS)
PLAIN = Identity(name="plain")


def bundled(network: Network, parts: Parts | None = None, identity: Identity = PLAIN) -> Bundle:
    """Pieces of the network, by default as `cut` makes them, as if they had been written."""
    made = parts or cut(network)
    held = {name: content for name, content in made.contents().items() if isinstance(content, bytes)}
    return Bundle(Path("in memory"), manifest_of(network, made, identity, {}), {}, held)


def proved(
    network: Network,
    parts: Parts | None = None,
    trial: Trial | None = None,
    *,
    identity: Identity = PLAIN,
    clock: Callable[[], float] = lambda: 0.0,
) -> dict[str, Any]:
    """The certificate of these pieces."""
    return verify(network, bundled(network, parts, identity), trial or Trial(seed=3), clock)
