"""Free energy of the logits above that of the uniform answer: CoSEE's signal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from split_core.criteria.base import LOGITS, Judgement, Seen
from split_core.params import number
from split_core.tensors import FloatArray


def energy_nats(logits: FloatArray) -> float:
    """-ln sum_c exp z_c of (C,) logits, safe for large ones.  Source: Liu et al. 2020, with temperature 1."""
    largest = float(logits.max())
    return -(largest + math.log(float(np.exp(logits - largest).sum())))


class Energy:
    """Score F / (F + scale), where F = ln sum_c exp(z_c - mean z) - ln C, in nats.

    CoSEE (He et al. 2025, arXiv 2412.13236) exits on a normalised energy score; energy itself is lower for
    surer answers, so the sign is turned.  Its abstract names the score and not the normalisation, so this one is ours:
    F is 0 for the uniform answer, never negative (Jensen), grows as logits are sharpened, and does not
    depend on a constant added to all logits, which softmax does not see either.

    Args:
        scale: nats at which the score is a half.

    Raises:
        ConfigError: a scale that is not positive.
    """

    needs: ClassVar[frozenset[str]] = frozenset({LOGITS})
    published = "exit when the normalised energy -ln sum exp z is low; lower is surer; the score is F / (F + scale)"

    def __init__(self, scale: float = 1.0) -> None:
        self._scale = number("scale", scale, 1e-3, 1e3)

    def __call__(self, seen: Sequence[Seen]) -> Judgement:
        """See `Criterion`; a single class is certain."""
        logits, probabilities = seen[-1].logits, seen[-1].probabilities
        if logits.size < 2:
            return Judgement(1.0, probabilities)
        above = max(0.0, -energy_nats(logits) - float(logits.mean()) - math.log(logits.size))
        return Judgement(above / (above + self._scale), probabilities)
