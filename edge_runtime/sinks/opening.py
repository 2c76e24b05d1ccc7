"""Sinks as they are named in a camera's configuration."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edge_runtime.config import EdgeConfig, SinkSection
from edge_runtime.frames.outcomes import Outcome
from edge_runtime.sinks import SINKS
from edge_runtime.sinks.base import Outlet
from edge_runtime.sinks.callback import Callback
from edge_runtime.sinks.sink import Sink
from edge_runtime.sinks.wanted import any_of
from split_core.params import call_with

SINKS_STREAM = 2  # of randomness, beside the policy's own and the audits'
EMBEDDED = "on_outcome"


def open_sinks(
    config: EdgeConfig, tell: Callable[[str, str], None], on_outcome: Callable[[Outcome], Any] | None = None
) -> list[Sink]:
    """All of them, at work.

    Args:
        config: checked.
        tell: is told a sink's name and a line when the state of its peer changes.
        on_outcome: one more, for who embeds the program: a function, called in a thread of its own.

    Raises:
        ConfigError: no such kind or option, or a value, file or secret that is not as it has to be.
        MissingExtra: a sink's library is not installed.
    """
    sections = {name: section for name, section in zip(_names(config.outcomes), config.outcomes, strict=True)}
    # All are made before any is opened: an error leaves nothing running.
    outlets = {name: _outlet(config, name, section, tell) for name, section in sections.items()}
    if on_outcome:
        sections[EMBEDDED] = SinkSection(kind="callback")
        outlets[EMBEDDED] = Callback(function=on_outcome, tell=lambda line: tell(EMBEDDED, line))
    return [
        Sink(name, outlets[name], wanted=any_of(section.only), queue=section.queue)
        for name, section in sections.items()
    ]


def _outlet(config: EdgeConfig, name: str, section: SinkSection, tell: Callable[[str, str], None]) -> Outlet:
    given = {
        "device": config.camera,
        "cameras": tuple(config.cameras()),
        "tell": lambda line: tell(name, line),
        "rng": np.random.default_rng((config.seed, SINKS_STREAM)),
        "clock": time.monotonic,
    }
    factory = SINKS.load(section.kind)
    outlet: Outlet = call_with(f"sink {section.kind!r}", factory, section.options, given)
    return outlet


def _names(sections: Sequence[SinkSection]) -> list[str]:
    """The kind; of several, the kind and a number: mqtt, mqtt-2."""
    kinds = [section.kind for section in sections]
    return [
        kind if (number := kinds[:place].count(kind) + 1) == 1 else f"{kind}-{number}"
        for place, kind in enumerate(kinds)
    ]
