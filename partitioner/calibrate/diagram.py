"""Reliability diagrams as numbers: per exit and bin of confidence, how sure it was and how often right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from partitioner.calibrate.keep import Apart
from partitioner.calibrate.reliability import BINS, calibration_error
from split_core.tensors import FloatArray
from split_core.traces import Traces

KINDS = (".svg", ".png", ".html")  # of files that a diagram is drawn to
DOUBT = 0.1  # chance that the accuracy of a bin is outside its interval


@dataclass(frozen=True, slots=True)
class Bins:
    """Bins of one exit that hold samples, by ascending confidence.

    Attributes:
        count: samples.
        confidence: their mean.
        accuracy: share that is right.
        low, high: exact interval of the accuracy, wrong with probability `DOUBT`.
        ece: expected calibration error over all of them.
    """

    count: NDArray[np.int64]
    confidence: FloatArray
    accuracy: FloatArray
    low: FloatArray
    high: FloatArray
    ece: float


@dataclass(frozen=True, slots=True)
class ExitDiagram:
    """One exit before and after calibration, on the same samples."""

    raw: Bins
    calibrated: Bins


@dataclass(frozen=True, slots=True)
class Diagram:
    """What is drawn.

    Attributes:
        name: of the bundle.
        samples: that nothing was fitted on.
        exits: one per exit.
    """

    name: str
    samples: int
    exits: tuple[ExitDiagram, ...]


def diagram_of(name: str, apart: Apart) -> Diagram:
    """Every exit on the samples that were kept apart."""
    exits = (ExitDiagram(_bins_at(apart.raw, k), _bins_at(apart.read, k)) for k in range(apart.read.exits))
    return Diagram(name, apart.read.samples, tuple(exits))


def _bins_at(traces: Traces, k: int) -> Bins:
    return bins_of(traces.confidence[:, k], traces.correct[:, k])


def bins_of(confidence: FloatArray, correct: NDArray[np.bool_], bins: int = BINS) -> Bins:
    """Bins of equal width, as the calibration error counts them; empty ones are left out.

    Args:
        confidence: (N,) in [0, 1]; N > 0.
        correct: (N,).
        bins: how many.

    Source: DeGroot and Fienberg 1983; Niculescu-Mizil and Caruana 2005.  The interval is that of Clopper and
    Pearson 1934.
    """
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    count = np.bincount(place, minlength=bins)
    full = count > 0
    n = count[full]
    right = np.bincount(place, weights=correct, minlength=bins)[full]
    # A bound of the beta distribution with a parameter of 0 is the end of the range.
    low = np.where(right > 0, betaincinv(np.maximum(right, 1e-9), n - right + 1, DOUBT / 2), 0.0)
    high = np.where(right < n, betaincinv(right + 1, np.maximum(n - right, 1e-9), 1 - DOUBT / 2), 1.0)
    mean = np.bincount(place, weights=confidence, minlength=bins)[full] / n
    return Bins(n, mean, right / n, low, high, calibration_error(confidence, correct, bins))
