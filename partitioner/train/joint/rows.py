"""What a joint training tells: an epoch, an exit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Epoch:
    """All exits on the samples kept apart, after an epoch.

    Attributes:
        losses: (K,) cross-entropy in nats.
        right: (K,) share that is right.
    """

    losses: tuple[float, ...]
    right: tuple[float, ...]

    @property
    def merit(self) -> tuple[float, float]:
        """Greater is better: the mean share that is right, and the mean loss where that says nothing."""
        return sum(self.right) / len(self.right), -sum(self.losses) / len(self.losses)


@dataclass(frozen=True, slots=True)
class JointRow:
    """One exit after training, on the samples kept apart.

    Attributes:
        exit: its number, 1..K.
        name: what it is called in the graph.
        accuracy: share that is right.
        agreement: share on which it says what the final exit says.
        loss: cross-entropy, nats.
    """

    exit: int
    name: str
    accuracy: float
    agreement: float
    loss: float
