"""Traces whose right answer is known."""

from __future__ import annotations

import numpy as np

from split_core.criteria.max_prob import MaxProb
from split_core.readings import ExitCalibration, Reader, softmax
from split_core.traces import Traces

BUNDLE_ID = "ab" * 32


def honest_logits(samples: int, classes: int, *, spread: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits (N, C) and labels (N,) drawn from exactly the probabilities that the logits say."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.0, spread, (samples, classes))
    chances = softmax(logits).cumsum(axis=1)
    labels = (rng.random((samples, 1)) > chances).sum(axis=1).clip(0, classes - 1)
    return logits, labels


def traces_with_temperatures(samples: int, temperatures: tuple[float, ...], *, seed: int) -> Traces:
    """K exits whose logits are this many times too sure; all but the last are noisy as well."""
    rng = np.random.default_rng([seed, 1])
    final, labels = honest_logits(samples, 5, spread=4.0, seed=seed)
    exits = []
    for k, temperature in enumerate(temperatures, 1):
        noise = 1.5 * (len(temperatures) - k)
        exits.append((final + rng.normal(0.0, noise, final.shape)) * temperature if noise else final * temperature)
    logits = np.stack(exits, axis=1).astype(np.float32)
    unread = np.zeros(logits.shape[:2])
    raw = Traces(unread, unread.astype(np.int64), labels.astype(np.int64), logits, bundle_id=BUNDLE_ID)
    return raw.read_with(Reader([ExitCalibration()] * len(temperatures), MaxProb()))
