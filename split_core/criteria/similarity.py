"""Saturation: exits whose hidden states hardly change any more."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import numpy as np

from split_core.criteria.base import EARLIER, HIDDEN, LOGITS, Judgement, Seen, trailing
from split_core.params import number, whole
from split_core.tensors import Array


def cosine(one: Array, other: Array) -> float:
    """Cosine of the angle between two (D,) vectors, in [-1, 1]; 0 when one of them is zero."""
    length = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(np.dot(one, other)) / length if length > 0.0 else 0.0


def similarities(seen: Sequence[Seen]) -> list[float]:
    """max(0, cosine) of each pooled hidden state with the one before it, for the exits that have one.

    States of different widths, as where a CNN widens, have nothing in common that could be saturated: 0.
    """
    known = [one.hidden for one in seen if one.hidden is not None]
    return [max(0.0, cosine(state, after)) if state.shape == after.shape else 0.0 for state, after in pairwise(known)]


class Similarity:
    """Score max(0, cos(h_i, h_(i-1))) of consecutive hidden states; 0 at the first exit.

    Tang et al. 2023 (MuE): exit when the similarity of consecutive hidden states is above the threshold, for then
    they are saturated.  (A survey says "below"; its own rationale and the abstract say above.)
    Ours: states are pooled over positions, and where two differ in width the score is 0.  An exit without a hidden
    state is judged by its largest probability.
    """

    needs: ClassVar[frozenset[str]] = frozenset({LOGITS, HIDDEN, EARLIER})
    published = "exit when the cosine of consecutive hidden states > threshold; the score is that cosine, at least 0"

    def __call__(self, seen: Sequence[Seen]) -> Judgement:
        """See `Criterion`."""
        latest = seen[-1]
        if latest.hidden is None:
            return Judgement(float(latest.probabilities.max()), latest.probabilities)
        found = similarities(seen)
        return Judgement(min(1.0, found[-1]) if found else 0.0, latest.probabilities)


class SimilarityPatience:
    """Score min(1, count / patience), where count is how many of the last similarities in a row are high.

    PF-BERxiT: exit when the similarity of consecutive layers passes its threshold repeatedly.  As for MuE
    "passes" means above.  Known to us from a survey only; the defaults are ours.

    Args:
        patience: high similarities in a row.
        similarity: the cosine from which on a similarity is high.

    Raises:
        ConfigError: a parameter out of its range.
    """

    needs: ClassVar[frozenset[str]] = frozenset({LOGITS, HIDDEN, EARLIER})
    published = "exit when the cosine >= similarity for patience exits in a row; the score is count / patience"

    def __init__(self, patience: int = 2, similarity: float = 0.95) -> None:
        self._patience = whole("patience", patience, 1, 1000)
        self._similarity = number("similarity", similarity, 0.0, 1.0)

    def __call__(self, seen: Sequence[Seen]) -> Judgement:
        """See `Criterion`."""
        latest = seen[-1]
        if latest.hidden is None:
            return Judgement(float(latest.probabilities.max()), latest.probabilities)
        count = trailing([one >= self._similarity for one in similarities(seen)])
        return Judgement(min(1.0, count / self._patience), latest.probabilities)
