"""Streams by the name of their scenario, as the command line gives it: `outage` or `outage:windows=3,share=0.1`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bandits.path_model import PathModel
from bandits.scenarios import SCENARIOS
from bandits.stream import Stream
from split_core.params import call_with, params_from_text
from split_core.traces import Traces


def make_stream(
    scenario: str,
    traces: Sequence[Traces],
    model: PathModel,
    *,
    rng: np.random.Generator,
    frames: int | None = None,
    params: Mapping[str, Any] | None = None,
) -> Stream:
    """The stream `scenario` of `bandits.scenarios.SCENARIOS`.

    Args:
        scenario: its name.
        traces: the trace; what it shifts to, if there is more than one.
        model: costs at the start.
        rng: orders the frames, and draws what else is drawn.
        frames: length; that of the traces unless told.
        params: of the scenario.

    Raises:
        ConfigError: no such scenario or parameter.
        TraceError: the traces do not fit, or are too short.
        ProfileError: the traces have another number of exits than `model`.
    """
    given = {"traces": traces, "model": model, "rng": rng, "frames": frames}
    stream: Stream = call_with(f"scenario {scenario!r}", SCENARIOS.load(scenario), params or {}, given)
    return stream


def parsed(text: str) -> tuple[str, dict[str, Any]]:
    """Name and parameters of `name:key=value;key=value`; values are YAML, so lists are `[50, 1]`.

    Raises:
        ConfigError: an item without an equals sign, or no YAML.
    """
    name, _, rest = text.partition(":")
    return name.strip(), params_from_text([item for item in rest.split(";") if item], "--scenario")
