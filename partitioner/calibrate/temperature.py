"""One temperature per exit, by the likelihood of the right labels (Guo et al. 2017)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from split_core.tensors import Array, FloatArray

# Beyond these a fit says "all right" or "all wrong", not how sure.
COLDEST, HOTTEST = 0.05, 20.0


def log_loss(logits: Array, labels: NDArray[np.int64], temperature: float) -> float:
    """Mean negative log likelihood of (N,) labels under softmax((N, C) logits / temperature), in nats."""
    scaled = np.asarray(logits, np.float64) / temperature
    top = scaled.max(axis=1, keepdims=True)
    totals: FloatArray = top[:, 0] + np.log(np.exp(scaled - top).sum(axis=1))
    return float(np.mean(totals - scaled[np.arange(len(labels)), labels]))


def fit_temperature(logits: Array, labels: NDArray[np.int64]) -> float:
    """The temperature in [0.05, 20] with the least log loss.

    The loss is convex in 1/T, so one bounded search in log T finds it.  All samples count alike: this
    makes P(right) honest over everything an exit sees, not over what shallower exits leave to it.

    Args:
        logits: (N, C), finite, N > 0.
        labels: (N,) in 0..C-1.
    """
    found = minimize_scalar(
        lambda log_t: log_loss(logits, labels, math.exp(log_t)),
        bounds=(math.log(COLDEST), math.log(HOTTEST)),
        method="bounded",
        options={"xatol": 1e-4},
    )
    return math.exp(float(found.x))
