"""The tariff changes: what is sent and computed elsewhere gets dearer and cheaper, and the operator knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bandits import params
from bandits.path_model import PathModel
from bandits.stream import Phase, Stream, lengths, shuffled
from split_core.errors import ConfigError
from split_core.traces import Traces

FACTORS = (1.0, 4.0, 0.25, 1.0)


def make_price_steps(
    *,
    traces: Sequence[Traces],
    model: PathModel,
    rng: np.random.Generator,
    frames: int | None,
    factors: Sequence[float] = FACTORS,
) -> Stream:
    """Equal parts of the stream, one per factor on the prices of cloud time and of bytes.

    Where the objective charges neither (the papers' constant costs) the factor is on the offload's price itself.
    A price list is known the moment it is in force, so the device's costs follow at once.

    Args:
        traces: all shuffled together.
        model: costs at factor 1.
        rng: orders the frames.
        frames: length.
        factors: on the price.

    Raises:
        ConfigError: no factors.
    """
    if not isinstance(factors, Sequence) or isinstance(factors, str) or not factors:
        raise ConfigError(f"factors: expected a list of numbers, got {factors!r}")
    steps = [params.number(f"factors[{place}]", factor, 0.0, 1e6) for place, factor in enumerate(factors)]
    rows = shuffled(traces, frames, rng)
    phases = tuple(
        Phase(length, _at(model, factor), name=f"cloud price x {factor:g}")
        for length, factor in zip(lengths(rows.samples, len(steps)), steps, strict=True)
    )
    return Stream("price_steps", rows, phases)


def _at(model: PathModel, factor: float) -> PathModel:
    weights = model.objective
    if weights.kb or (weights.cloud_ms and any(model.cloud_ms)):
        dearer = replace(weights, kb=weights.kb * factor, cloud_ms=weights.cloud_ms * factor)
        return model.model_copy(update={"objective": dearer})
    return model.model_copy(update={"link_base_ms": model.link_base_ms * factor})
