"""What a detector of drift is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Drift:
    """How far from calibration.

    Attributes:
        value: the detector's statistic.
        limit: what it exceeds by chance less than once in a million windows; of the martingale, see there.
        fired: is it above?
    """

    value: float
    limit: float
    fired: bool


class Detector(Protocol):
    """Watches one stream of confidences.  Holds a bounded amount; reads no clock."""

    def update(self, x: float) -> bool | None:
        """Take in one confidence; True asks to be looked at now."""

    def state(self) -> Drift:
        """How far the window is from calibration; never fired before it holds enough."""
