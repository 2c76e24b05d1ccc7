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
LEAST = 250  # samples: with fewer, chance alone explains what would have to be noticed
# Reliability maps have flat parts, where many samples share a value: an edge lies this far beside it,
# so that the last bit of another machine's arithmetic moves nobody into the next bin.
BESIDE = 1e-6


def histograms(placing: Traces, counted: Traces) -> tuple[ConfidenceHistogram, ...]:
    """One per exit.

    Args:
        placing: of the samples that choose the edges, read as the shipped policy reads
            (`traces.read_with(policy.reader())`); maps may be fitted on them.
        counted: of other samples, read so, too; no map may be.
    """
    pairs = zip(counted.confidence.T, placing.confidence.T, strict=True)
    return tuple(histogram(values, others) for values, others in pairs)


def reached(traces: Traces, exits: NDArray[np.int64]) -> list[FloatArray]:
    """Confidences of exits 2, 3, ..., each of the samples that get there.

    Args:
        traces: as for `histograms`.
        exits: (N,) where the policy's thresholds answer each sample, from 0.
    """
    return [traces.confidence[exits >= k, k] for k in range(1, traces.exits)]


def reached_histograms(placing: list[FloatArray], counted: list[FloatArray]) -> tuple[ConfidenceHistogram, ...]:
    """Of exits 2, 3, ... over the samples that get there; up to the first exit with fewer than `LEAST` of them.

    Args:
        placing: `reached` of the samples that choose the edges.
        counted: `reached` of the other samples.
    """
    pairs = zip(counted, placing, strict=True)
    enough = itertools.takewhile(lambda pair: len(pair[0]) >= LEAST and len(pair[1]), pairs)
    return tuple(histogram(values, others) for values, others in enough)


def input_histograms(intake: Intake, items: Sequence[Array]) -> dict[str, ConfidenceHistogram]:
    """What the inputs are like, by name; every other sample is counted, those between them choose the edges.

    Args:
        intake: of the network.
        items: canonical ones, of the calibration samples; at least two.
    """
    rows = [intake.measures(item) for item in items]
    values = {name: np.array([row[name] for row in rows], np.float64) for name in rows[0]}
    return {name: histogram(found[1::2], found[::2]) for name, found in values.items()}


def histogram(counted: FloatArray, placing: FloatArray | None = None) -> ConfidenceHistogram:
    """Bins of about equal mass; a value that many samples share has a bin of its own.

    Args:
        counted: (N,) in [0, 1], or another number of each sample; N at least 1.
        placing: (M,) of other samples, which choose the edges: only then are bins and counts independent, as the
            martingale's promise needs.  None takes the same.
    """
    ordered = np.sort(counted if placing is None else placing)
    values = np.unique(ordered[(np.arange(1, QUANTILES) * len(ordered)) // QUANTILES])
    shares = [np.mean(np.abs(ordered - value) < BESIDE) for value in values]
    heavy = [value for value, share in zip(values, shares, strict=True) if share > 0.5 / QUANTILES]
    edges = np.unique(np.round([*(values - BESIDE), *(np.array(heavy) + BESIDE)], 9))
    counts = np.bincount(np.searchsorted(edges, counted, side="right"), minlength=len(edges) + 1)
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
