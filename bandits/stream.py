"""A stream: frames in the order in which a policy meets them, in phases whose costs differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bandits.path_model import PathModel
from split_core.errors import ProfileError, TraceError
from split_core.traces import Traces


@dataclass(frozen=True, slots=True)
class Phase:
    """Some frames in a row under the same conditions.

    Attributes:
        frames: how many.
        model: what paths really cost in it.
        cloud: False while there is none; the device knows.
        name: what differs, for tables.
    """

    frames: int
    model: PathModel
    cloud: bool = True
    name: str = ""


@dataclass(frozen=True, slots=True)
class Stream:
    """Frames and their phases.

    Attributes:
        name: of the scenario.
        traces: one row per frame, in order.
        phases: in order; together as many frames as `traces`.
    """

    name: str
    traces: Traces
    phases: tuple[Phase, ...]

    def __post_init__(self) -> None:
        found = sum(phase.frames for phase in self.phases)
        if not self.phases or found != self.traces.samples or min(phase.frames for phase in self.phases) < 1:
            raise TraceError(
                f"the scenario {self.name!r} needs a frame for each of its {len(self.phases)} phases, "
                f"the trace has {self.traces.samples}; give a longer trace or more --frames"
            )
        for phase in self.phases:
            if phase.model.exits != self.traces.exits:
                raise ProfileError(f"these costs are for {phase.model.exits} exits, the trace has {self.traces.exits}")

    @property
    def model(self) -> PathModel:
        """Costs at the start."""
        return self.phases[0].model

    @property
    def link_changes(self) -> bool:
        """Is the link another one in some phase?  Then the device has to find out."""
        return len({(phase.model.link_base_ms, phase.model.link_ms_per_kb) for phase in self.phases}) > 1

    def parts(self) -> Iterator[tuple[slice, Phase]]:
        """Every phase and its rows."""
        start = 0
        for phase in self.phases:
            yield slice(start, start + phase.frames), phase
            start += phase.frames


def in_order(traces: Traces, model: PathModel) -> Stream:
    """The frames as they were recorded, under one model."""
    if not traces.samples:
        raise TraceError("the trace has no samples; record one with 'offramp trace'")
    return Stream("stationary", traces, (Phase(traces.samples, model),))


def shuffled(recorded: Sequence[Traces], frames: int | None, rng: np.random.Generator) -> Traces:
    """`frames` rows of all traces in random order, each before any comes again; as many as there are unless told."""
    traces = concatenated(recorded)
    if not traces.samples:
        raise TraceError("the trace has no samples; record one with 'offramp trace'")
    wanted = traces.samples if frames is None else frames
    rounds = [rng.permutation(traces.samples) for _ in range(-(-wanted // traces.samples))]
    return traces.rows(np.concatenate(rounds)[:wanted])


def lengths(frames: int, parts: int) -> list[int]:
    """`frames` in `parts` nearly equal lengths."""
    return [len(part) for part in np.array_split(np.arange(frames), parts)]


def concatenated(traces: Sequence[Traces]) -> Traces:
    """Traces of one network, one after the other; bytes only when all have them, logits and the like of one only."""
    first = traces[0]
    if len(traces) == 1:
        return first
    for other in traces[1:]:
        if other.exits != first.exits:
            raise TraceError(f"expected traces of one network, got {first.exits} and {other.exits} exits")
    measured = all(part.payload_bytes.size for part in traces)
    return Traces(
        np.concatenate([part.confidence for part in traces]),
        np.concatenate([part.prediction for part in traces]),
        np.concatenate([part.labels for part in traces]),
        payload_bytes=np.concatenate([part.payload_bytes for part in traces])
        if measured
        else np.empty((0, 0), np.int64),
        bundle_id=first.bundle_id,
    )
