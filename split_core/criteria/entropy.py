"""Entropy of the class distribution, turned so that higher means surer."""

from __future__ import annotations

import math

import numpy as np

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
