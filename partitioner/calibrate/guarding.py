"""Calibration under a guard: thresholds are chosen for what the guard lets answer, and tried the same way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from partitioner.calibrate.abstain import abstaining, probabilities_of, unsure
from partitioner.calibrate.keep import Apart
from split_core.conformal import ConformalSets
from split_core.policy_guard import GuardSection
from split_core.readings import Reader
from split_core.tensors import FloatArray
from split_core.traces import Traces

Metadata = Mapping[str, Sequence[str]]  # column to one value per sample


@dataclass(frozen=True, slots=True)
class GuardWishes:
    """What the operator keeps from being answered early; see `GuardSection`.

    Attributes:
        never_early: classes.
        never_early_segments: metadata column to values.
        deepest: 0 sets no limit.
        abstain: alpha of the conformal sets; None never abstains.
        per_class: coverage within each class.
    """

    never_early: tuple[int, ...] = ()
    never_early_segments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    deepest: int = 0
    abstain: float | None = None
    per_class: bool = False

    @property
    def asks(self) -> bool:
        """Is anything guarded?"""
        return bool(self.never_early or self.never_early_segments or self.deepest) or self.abstain is not None


def guarded(apart: Apart, wishes: GuardWishes, reader: Reader, metadata: Metadata) -> tuple[Apart, GuardSection | None]:
    """What was kept apart as the guard leaves it, and the guard's section of the policy file.

    Args:
        apart: as the policy reads it.
        wishes: of the guard.
        reader: the policy's.
        metadata: of the samples of `apart`; a column that is not there hides nothing here.

    Raises:
        DataError: too few samples for conformal sets.
    """
    if not wishes.asks:
        return apart, None
    section = GuardSection(
        never_early=wishes.never_early,
        never_early_segments=dict(wishes.never_early_segments),
        deepest=wishes.deepest,
    )
    hidden = forbidden(apart.read, section, metadata)
    if wishes.abstain is None:
        left = hide(apart.read, hidden)
        return replace(apart, left=left, tried=left), section
    probabilities = probabilities_of(apart.read, reader)
    abstain, tried = abstaining(probabilities, apart.read.labels, wishes.abstain, per_class=wishes.per_class)
    left, by_half = (_and_unsure(apart.read, hidden, sets, probabilities) for sets in (abstain.build(), tried))
    return replace(apart, left=left, tried=by_half), section.model_copy(update={"abstain": abstain})


def _and_unsure(traces: Traces, hidden: NDArray[np.bool_], sets: ConformalSets, probabilities: FloatArray) -> Traces:
    return hide(traces, hidden | unsure(sets, probabilities))


def forbidden(traces: Traces, guard: GuardSection, metadata: Metadata) -> NDArray[np.bool_]:
    """(N, K) readings that must not answer early, by class, stream and depth; abstention is not in it."""
    found: NDArray[np.bool_] = np.isin(traces.prediction, guard.never_early)
    for column, values in guard.never_early_segments.items():
        if column in metadata:
            found |= np.isin(np.asarray(metadata[column]), values)[:, None]
    if guard.deepest:
        found[:, guard.deepest :] = True
    return found


def hide(traces: Traces, hidden: NDArray[np.bool_]) -> Traces:
    """The same trace with confidence 0 at early exits that must not answer."""
    confidence = np.where(hidden, 0.0, traces.confidence)
    confidence[:, -1] = traces.confidence[:, -1]
    return replace(traces, confidence=confidence)
