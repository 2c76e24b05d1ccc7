"""Thresholds per segment of the streams: ours, no paper has them.  A segment with few samples keeps the common ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from partitioner.calibrate.classes import FEWEST
from partitioner.calibrate.exit_rule import ExitRule
from split_core.errors import DataError
from split_core.policy_guard import SegmentsSection
from split_core.traces import Traces

Values = NDArray[np.str_]  # one per sample


class Rule(Protocol):
    """Says which exit answers."""

    def exits(self, traces: Traces) -> NDArray[np.int64]:
        """(N,) the exit 0..K-1 that answers each sample."""


@dataclass(frozen=True)
class Segmented:
    """A rule for all, and others for some segments.

    Attributes:
        common: of segments without their own.
        own: segment to rule.
        told: (N,) segment of each sample that it will be asked about; None when nobody knows.
    """

    common: ExitRule
    own: Mapping[str, ExitRule] = field(default_factory=dict)
    told: Values | None = None

    def exits(self, traces: Traces) -> NDArray[np.int64]:
        """(N,) the exit 0..K-1 that answers each sample."""
        found = self.common.exits(traces)
        for value, rule in self.own.items():
            rows = np.flatnonzero(self.told == value)
            found[rows] = rule.exits(traces.rows(rows))
        return found

    def section(self, column: str) -> SegmentsSection:
        """As the policy file holds it; a segment's parameters replace all of the common ones."""
        return SegmentsSection(
            column=column, params={value: {"by_class": {}, **rule.params()} for value, rule in self.own.items()}
        )


def per_segment(choose: Callable[[Traces], ExitRule], traces: Traces, told: Values | None) -> Segmented:
    """The common rule, and one for every segment of `FEWEST` samples or more that can carry the target by itself.

    What is promised then holds within such a segment; for the others it holds over all samples together.

    Args:
        choose: samples to rule; DataError when they cannot carry the target.
        traces: N samples.
        told: (N,) their segments; None for one rule.

    Raises:
        DataError: all samples together cannot carry the target.
    """
    common = choose(traces)
    own: dict[str, ExitRule] = {}
    for value in [] if told is None else np.unique(told):
        rows = np.flatnonzero(told == value)
        rule = _or_none(choose, traces.rows(rows)) if len(rows) >= FEWEST else None
        if rule is not None and rule != common:
            own[str(value)] = rule
    return Segmented(common, own, told)


def _or_none(choose: Callable[[Traces], ExitRule], traces: Traces) -> ExitRule | None:
    try:
        return choose(traces)
    except DataError:
        return None
