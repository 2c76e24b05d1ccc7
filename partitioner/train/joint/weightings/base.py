"""What a weighting must say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

Tensor = Any  # torch.Tensor


class Weighting(Protocol):
    """Coefficients of the exits' losses.

    Args:
        depths: share of the network that lies before each of the K exits, rising to 1.
    """

    def __init__(self, depths: Sequence[float]) -> None: ...

    def coefficients(self, elapsed: float) -> Tensor:
        """(K,) float32, what each exit's loss is multiplied with before they are added up.

        Args:
            elapsed: share of the epochs that are over, in [0, 1).
        """

    def learned(self) -> list[Tensor]:
        """What the optimiser changes beside the network's parameters."""
