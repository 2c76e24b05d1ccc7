"""What an early answer costs in quality, per sample and exit: the losses that risk controls bound."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from split_core.errors import TraceError
from split_core.readings import softmax
from split_core.tensors import FloatArray
from split_core.traces import Traces


def consistency(traces: Traces) -> FloatArray:
    """(N, K) 1 where an exit says something else than the full network, else 0.  Needs no labels."""
    return (~traces.agrees).astype(np.float64)


def mistakes(traces: Traces) -> FloatArray:
    """(N, K) 1 where an exit is wrong, else 0."""
    return (~traces.correct).astype(np.float64)


def drop(traces: Traces) -> FloatArray:
    """(N, K) what is lost against the full network in accuracy: 1, 0, or -1 where only the exit is right."""
    wrong = mistakes(traces)
    return wrong - wrong[:, -1:]


def brier_gap(traces: Traces) -> FloatArray:
    """(N, K) Brier score of an exit minus that of the full network, halved: in [-1, 1].

    Of the logits as they are: temperatures of exits are not in it.  Halved because the score of a sure and
    wrong answer is 2.

    Raises:
        TraceError: the trace kept no logits.

    Source: Jazbec et al. 2024, Fast yet Safe, equation 8.
    """
    if not traces.logits.size:
        raise TraceError("this trace kept no logits; record it again with 'offramp trace'")
    right = np.arange(traces.logits.shape[2]) == traces.labels[:, None]
    score = ((softmax(traces.logits) - right[:, None, :]) ** 2).sum(axis=2) / 2.0
    gap: FloatArray = score - score[:, -1:]
    return gap


LOSSES: Mapping[str, Callable[[Traces], FloatArray]] = MappingProxyType(
    {"consistency": consistency, "mistakes": mistakes, "drop": drop, "brier": brier_gap}
)
