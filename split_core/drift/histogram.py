"""Confidences of the calibration samples, as the policy file keeps them."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from split_core.evidence import ConfidenceHistogram
from split_core.intake import Intake
from split_core.tensors import Array, FloatArray
from split_core.traces import Traces

QUANTILES = 32
LEAST = 500  # samples: with fewer, chance alone explains what would have to be noticed
# Reliability maps have flat parts, where many samples share a value: an edge lies this far beside it,
# so that the last bit of another machine's arithmetic moves nobody into the next bin.
BESIDE = 1e-6


def histograms(traces: Traces) -> tuple[ConfidenceHistogram, ...]:
    """One per exit.

    Args:
        traces: of the calibration samples, read as the shipped policy reads: `traces.read_with(policy.reader())`.
    """
    return tuple(histogram(traces.confidence[:, k]) for k in range(traces.exits))


def reached_histograms(traces: Traces, exits: NDArray[np.int64]) -> tuple[ConfidenceHistogram, ...]:
    """Of exits 2, 3, ... over the samples that get there; up to the first exit with fewer than `LEAST` of them.

    Args:
        traces: as for `histograms`.
        exits: (N,) where the policy's thresholds answer each sample, from 0.
    """
    found = []
    for k in range(1, traces.exits):
        there = traces.confidence[exits >= k, k]
        if len(there) < LEAST:
            break
        found.append(histogram(there))
    return tuple(found)


def input_histograms(intake: Intake, items: Sequence[Array]) -> dict[str, ConfidenceHistogram]:
    """What the inputs are like, by name.

    Args:
        intake: of the network.
        items: canonical ones, of the calibration samples.
    """
    rows = [intake.measures(item) for item in items]
    return {name: histogram(np.array([row[name] for row in rows], np.float64)) for name in rows[0]}


def histogram(confidence: FloatArray) -> ConfidenceHistogram:
    """Bins of about equal mass; a value that many samples share has a bin of its own.

    Args:
        confidence: (N,) in [0, 1], or another number of each sample; N at least 1.
    """
    ordered = np.sort(confidence)
    values = np.unique(ordered[(np.arange(1, QUANTILES) * len(ordered)) // QUANTILES])
    shares = [np.mean(np.abs(ordered - value) < BESIDE) for value in values]
    heavy = [value for value, share in zip(values, shares, strict=True) if share > 0.5 / QUANTILES]
    edges = np.unique(np.round([*(values - BESIDE), *(np.array(heavy) + BESIDE)], 9))
    counts = np.bincount(np.searchsorted(edges, ordered, side="right"), minlength=len(edges) + 1)
    return ConfidenceHistogram(edges=tuple(map(float, edges)), counts=tuple(map(int, counts)))


class Reference:
    """A histogram, ready for questions.

    Attributes:
        edges, counts: see `ConfidenceHistogram`.
        samples: of the calibration.
        ranks: per bin, the share of samples below it plus half of its own, in (0, 1).
    """

    def __init__(self, histogram: ConfidenceHistogram) -> None:
        self.edges, self.counts = histogram.edges, histogram.counts
        self.samples = sum(self.counts)
        below = [0, *itertools.accumulate(self.counts)]
        self._below = below
        self.ranks = [(low + count / 2) / self.samples for low, count in zip(below, self.counts, strict=False)]

    def at_least(self, threshold: float) -> float:
        """Share of calibration samples with this confidence or more; linear within a bin.

        A bin that is only as wide as the edges beside one value holds that value, so all of it counts.
        """
        place = bisect_right(self.edges, threshold)
        low = self.edges[place - 1] if place else 0.0
        high = self.edges[place] if place < len(self.edges) else 1.0
        wide = high - low > 3 * BESIDE
        inside = min(1.0, max(0.0, (threshold - low) / (high - low))) if wide else 0.0
        return 1.0 - (self._below[place] + inside * self.counts[place]) / self.samples
