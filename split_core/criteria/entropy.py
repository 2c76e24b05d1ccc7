"""Entropy of the class distribution, turned so that higher means surer."""

from __future__ import annotations

import math

import numpy as np

from split_core.criteria.base import Plain
from split_core.tensors import FloatArray


def entropy_nats(probabilities: FloatArray) -> float:
    """-sum p ln p of (C,) probabilities, with 0 ln 0 = 0.  Source: BranchyNet (2016), DeeBERT (2020)."""
    positive = probabilities[probabilities > 0.0]
    return float(-np.dot(positive, np.log(positive)))


def normalised_certainty(probabilities: FloatArray) -> float:
    """1 - entropy / ln C: 1 for a certain answer, 0 for a uniform one.  Source: FastBERT, DDNN."""
    if probabilities.size < 2:
        return 1.0
    certainty = 1.0 - entropy_nats(probabilities) / math.log(probabilities.size)
    return min(1.0, max(0.0, certainty))


class Entropy(Plain):
    """Score 1 - H / ln C with H = -sum p ln p.

    Published in nats, and downwards: BranchyNet (2016) and DeeBERT (2020) exit when H < S.  In score units
    their threshold is 1 - S / ln C, see `score_of_nats`.  FastBERT (2020) and DDNN (2017) divide by ln C
    first: theirs is 1 - S.
    """

    published = "exit when H < S nats; lower is surer; the score is 1 - H / ln C, so S becomes 1 - S / ln C"

    def score(self, probabilities: FloatArray) -> float:
        """See `normalised_certainty`."""
        return normalised_certainty(probabilities)


def score_of_nats(threshold_nats: float, classes: int) -> float:
    """A published entropy threshold as a score: BranchyNet's T, DeeBERT's S; at least two classes."""
    return min(1.0, max(0.0, 1.0 - threshold_nats / math.log(classes)))
