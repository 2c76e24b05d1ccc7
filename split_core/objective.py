"""What an operator wants: weights that turn measurements into one cost, and cost into reward."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Objective:
    """Weights of the one measured cost.  Neurosurgeon, SPINN and SplitEE are special cases.

    cost = ms * latency_ms + kb * kilobytes + cloud_ms * cloud_ms + joule * joules
    reward = value - mu * cost, where value is the calibrated confidence of the answer given.

    A measurement that does not exist (energy without rails) is left out, never taken as zero watts.
    """

    ms: float = 1.0
    kb: float = 0.0
    cloud_ms: float = 0.0
    joule: float = 0.0
    mu: float = 0.01

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) >= 0.0:
                raise ValueError(
                    f"objective weight {field.name!r} must not be negative, got {getattr(self, field.name)}"
                )

    def cost(
        self, latency_ms: float, *, payload_bytes: float = 0.0, cloud_ms: float = 0.0, joules: float | None = None
    ) -> float:
        """Cost of one frame."""
        known = self.ms * latency_ms + self.kb * payload_bytes / 1000.0 + self.cloud_ms * cloud_ms
        return known if joules is None else known + self.joule * joules

    def reward(self, value: float, cost: float) -> float:
        """What the frame is worth: calibrated confidence minus priced cost."""
        return value - self.mu * cost
