"""The frames change: from one trace to another of the same network, or from easy ones to hard ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bandits import params
from bandits.path_model import PathModel
from bandits.stream import Phase, Stream, concatenated, shuffled
from split_core.traces import Traces


def make_shift(
    *,
    traces: Sequence[Traces],
    model: PathModel,
    rng: np.random.Generator,
    frames: int | None,
    damage: float = 0.0,
) -> Stream:
    """Equal parts of the stream from each trace, or of one trace its easy half and then its hard half.

    Easy is what all exits together are sure of; these are frames as recorded, and confidences mean in both halves
    what they meant.  With `damage` they cease to: the same frames come twice, and in the second half exits
    before the last are as sure as ever and wrong more often.

    Args:
        traces: one, or those that follow each other.
        model: costs, which stay.
        rng: orders the frames.
        frames: length.
        damage: share of frames in which an early exit says what it would have said of another frame.

    Raises:
        ConfigError: damage is no share.
    """
    share = params.number("damage", damage, 0.0, 1.0)
    parts, names = list(traces), [f"trace {number}" for number in range(1, len(traces) + 1)]
    if len(parts) == 1:
        parts, names = [*_halves(parts[0])], ["easy half", "hard half"]
        if share:
            parts, names = [traces[0], _damaged(traces[0], share, rng)], ["as recorded", f"damaged {share:g}"]
    wanted = None if frames is None else -(-frames // len(parts))
    rows = [shuffled([part], wanted, rng) for part in parts]
    phases = tuple(Phase(part.samples, model, name=name) for part, name in zip(rows, names, strict=True))
    return Stream("shift", concatenated(rows), phases)


def _halves(traces: Traces) -> tuple[Traces, Traces]:
    surest_first = np.argsort(-traces.confidence.mean(axis=1), kind="stable")
    middle = -(-traces.samples // 2)
    return traces.rows(surest_first[:middle]), traces.rows(surest_first[middle:])


def _damaged(traces: Traces, share: float, rng: np.random.Generator) -> Traces:
    """Early exits of some frames read another frame; both its label and its confidence."""
    confidence, prediction = traces.confidence.copy(), traces.prediction.copy()
    for exit in range(traces.exits - 1):
        hit = rng.random(traces.samples) < share
        other = rng.integers(traces.samples, size=traces.samples)
        confidence[hit, exit] = traces.confidence[other[hit], exit]
        prediction[hit, exit] = traces.prediction[other[hit], exit]
    # What else was kept of a frame is not of the reading that now stands there.
    return Traces(confidence, prediction, traces.labels, payload_bytes=traces.payload_bytes, bundle_id=traces.bundle_id)
