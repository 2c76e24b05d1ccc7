"""What the camera's owner gets: exactly one outcome per frame, by its deadline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to one frame.

    Attributes:
        seq: the frame's.
        label: class index; `name` is its name.
        confidence: calibrated, in [0, 1].
        exit: which exit answered, 1..K; K is the full model.
        where: who computed it.
        degraded: empty when this is the answer that was wanted; else why it is the best local reading
            instead: "timeout", "no_link", "busy", "refused", "deadline".
        latency_ms: from capture to here.
        late: past the deadline, which must not happen.
    """

    seq: int
    label: int
    name: str
    confidence: float
    exit: int
    where: Literal["edge", "cloud"]
    degraded: str
    latency_ms: float
    late: bool
