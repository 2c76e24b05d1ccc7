"""The link gets slower in steps; the device learns of it from its own offloads only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bandits import params
from bandits.path_model import PathModel
from bandits.stream import Phase, Stream, lengths, shuffled
from split_core.errors import ConfigError
from split_core.traces import Traces

MBIT = (50.0, 10.0, 1.0, 50.0)
MS_PER_KB_AT_1_MBIT = 8.0  # 1000 bytes are 8000 bits


def make_bandwidth_steps(
    *,
    traces: Sequence[Traces],
    model: PathModel,
    rng: np.random.Generator,
    frames: int | None,
    mbit: Sequence[float] = MBIT,
) -> Stream:
    """Equal parts of the stream, one per bandwidth.

    With bytes in the trace and a link that is priced by them, its milliseconds per kilobyte are those of the
    bandwidth and its base stays.  Else (the papers' constant costs) the price of an offload grows by as much as the
    link gets slower than the first, up to ten times.

    Args:
        traces: all shuffled together.
        model: costs; its link's slope is replaced.
        rng: orders the frames.
        frames: length.
        mbit: megabits per second.

    Raises:
        ConfigError: no bandwidths.
    """
    if not isinstance(mbit, Sequence) or isinstance(mbit, str) or not mbit:
        raise ConfigError(f"mbit: expected a list of megabits per second, got {mbit!r}")
    rates = [params.number(f"mbit[{place}]", rate, 0.001, 100_000.0) for place, rate in enumerate(mbit)]
    rows = shuffled(traces, frames, rng)
    measured = bool(rows.payload_bytes.size) and model.link_ms_per_kb > 0.0
    models = [_at(model, rate, rates[0], measured=measured) for rate in rates]
    phases = tuple(
        Phase(length, slower, name=f"{rate:g} Mbit/s")
        for length, slower, rate in zip(lengths(rows.samples, len(rates)), models, rates, strict=True)
    )
    return Stream("bandwidth_steps", rows, phases)


def _at(model: PathModel, rate: float, first: float, *, measured: bool) -> PathModel:
    if measured:
        return model.model_copy(update={"link_ms_per_kb": MS_PER_KB_AT_1_MBIT / rate})
    return model.model_copy(update={"link_base_ms": model.link_base_ms * min(first / rate, 10.0)})
