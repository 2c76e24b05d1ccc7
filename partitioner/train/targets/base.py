"""What a training target must say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

Tensor = Any  # torch.Tensor


@dataclass(frozen=True, slots=True)
class Softness:
    """How a target that distils goes about it.

    Attributes:
        temperature: logits are divided by it before both softmaxes; above 0, and 1 leaves them as they are.
        mix: share of the final exit in the loss, in [0, 1]; the rest is the label's.
    """

    temperature: float = 2.0
    mix: float = 0.5

    def __post_init__(self) -> None:
        if not self.temperature > 0.0 or not 0.0 <= self.mix <= 1.0:
            raise ValueError(f"temperature must be above 0 and mix in [0, 1], got {self.temperature} and {self.mix}")


class Target(Protocol):
    """A loss.

    Attributes:
        needs_labels: whether samples must have labels.
    """

    needs_labels: bool

    def __init__(self, softness: Softness) -> None: ...

    def loss(self, logits: Tensor, final: Tensor, labels: Tensor) -> Tensor:
        """Mean loss of N samples, a scalar.

        Args:
            logits: (N, C) of the exit that learns.
            final: (N, C) of the network's last exit.
            labels: (N,) int64; without meaning where the target needs none.
        """
