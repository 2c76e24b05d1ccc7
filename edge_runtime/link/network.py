"""Which network a payload is of, and what can be its answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from split_core.tensors import Array


@dataclass(frozen=True, slots=True)
class Network:
    """Whose tensors are sent; the device may run another one by the time of the answer.

    Attributes:
        bundle_id: of its bundle.
        exits: K.
        classes: how many logits a verdict has.
    """

    bundle_id: str
    exits: int
    classes: int

    def says(self, exit: int, logits: Array) -> bool:
        """Can this be its answer?"""
        return logits.size == self.classes and 1 <= exit <= self.exits and bool(np.isfinite(logits).all())
