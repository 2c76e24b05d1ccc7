"""Windows without a cloud: only what answers on the device may be played, and an outage is no arm's fault."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bandits import params
from bandits.path_model import PathModel
from bandits.stream import Phase, Stream, shuffled
from split_core.traces import Traces


def make_outage(
    *,
    traces: Sequence[Traces],
    model: PathModel,
    rng: np.random.Generator,
    frames: int | None,
    windows: int = 3,
    share: float = 0.2,
) -> Stream:
    """Windows of equal length, spread over the stream, which begins and ends with a cloud.

    The two frames that a breaker takes to open are left out: the device knows at once.

    Args:
        traces: all shuffled together.
        model: costs, which stay.
        rng: orders the frames.
        frames: length.
        windows: how many.
        share: of all frames, in all windows together.

    Raises:
        ConfigError: a parameter is out of its range.
    """
    count = params.whole("windows", windows, 1, 10_000)
    dark = params.number("share", share, 0.0, 0.99)
    rows = shuffled(traces, frames, rng)
    # Bright, dark, bright, ..., bright: where each ends, as a share of the stream.
    steps = np.array([(1.0 - dark) / (count + 1), dark / count] * count + [(1.0 - dark) / (count + 1)])
    ends = np.rint(np.cumsum(steps) * rows.samples).astype(int)
    parts = np.diff(ends, prepend=0).tolist()
    phases = [
        Phase(length, model, cloud=place % 2 == 0, name=("outage" if place % 2 else ""))
        for place, length in enumerate(parts)
    ]
    return Stream("outage", rows, tuple(phases))
