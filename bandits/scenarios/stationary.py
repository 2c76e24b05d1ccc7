"""Nothing changes: what regret bounds assume, and what nobody has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bandits.path_model import PathModel
from bandits.stream import Phase, Stream, shuffled
from split_core.traces import Traces


def make_stationary(
    *, traces: Sequence[Traces], model: PathModel, rng: np.random.Generator, frames: int | None
) -> Stream:
    """All frames of all traces, shuffled, under the same costs."""
    rows = shuffled(traces, frames, rng)
    return Stream("stationary", rows, (Phase(rows.samples, model),))
