"""What was asked of the thresholds: kept on all samples that are left for it, tried on a half that took no part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from partitioner.calibrate.choose import choose
from partitioner.calibrate.exit_rule import ExitRule
from partitioner.calibrate.segments import Rule, Segmented, Values, per_segment
from partitioner.calibrate.targets import Target, promises, reached
from split_core.errors import DataError
from split_core.evidence import PromiseSection
from split_core.policy import BanditSection
from split_core.tensors import FloatArray
from split_core.traces import Traces

LEAST = 1e-4  # the smallest threshold above 0 in four digits


@dataclass(frozen=True, slots=True)
class Apart:
    """The samples that temperatures and maps were not fitted on, in random order.

    Attributes:
        rows: (M,) their places among all samples.
        raw: with neither temperature nor map.
        read: as the policy reads them.
        left: as a guard leaves them: what must not answer early has confidence 0.  None without a guard.
        tried: the same by a guard that saw the first half only.
        told: (M,) segment of each; None without segments.
    """

    rows: NDArray[np.int64]
    raw: Traces
    read: Traces
    left: Traces | None = None
    tried: Traces | None = None
    told: Values | None = None

    @property
    def half(self) -> int:
        """How many of them choose thresholds, when the rest shall test them."""
        return len(self.rows) // 2


@dataclass(frozen=True, slots=True)
class Trial:
    """Thresholds chosen on one half of what was kept apart, and the other half, which they never saw.

    Attributes:
        rule: who answers the tested samples.
        rows: (T,) places of the tested samples among all.
        tested: these samples, as the policy reads them.
    """

    rule: Rule
    rows: NDArray[np.int64]
    tested: Traces


@dataclass(frozen=True, slots=True)
class Kept:
    """Thresholds that are shipped, what is promised about them, and the trial; None when a half is too few."""

    rule: Segmented
    promises: tuple[PromiseSection, ...]
    trial: Trial | None


def keep(target: Target, grid: FloatArray, apart: Apart) -> Kept:
    """Thresholds for `target`, from all samples of `apart`.

    Args:
        target: asks for something.
        grid: (L,) descending shared thresholds, from the samples that maps were fitted on.
        apart: the others.

    Raises:
        DataError: the samples cannot support it.
    """
    rule = per_segment(_chooser(target, grid, apart), apart.left or apart.read, apart.told)
    trial = _trial(target, grid, apart)
    found = reached(target, trial.rule, trial.tested) if trial else {}
    tested = trial.tested.samples if trial else 0
    return Kept(rule, promises(target, apart.read.samples, found, tested), trial)


def _trial(target: Target, grid: FloatArray, apart: Apart) -> Trial | None:
    chosen, tested = slice(0, apart.half), slice(apart.half, None)
    traces, told = apart.tried or apart.read, apart.told
    try:
        rule = per_segment(_chooser(target, grid, apart), traces.rows(chosen), None if told is None else told[chosen])
    except DataError:
        return None  # all samples carry it, half of them do not: then nothing is left to test on
    asked = replace(rule, told=None if told is None else told[tested])
    return Trial(asked, apart.rows[tested], traces.rows(tested))


def _chooser(target: Target, grid: FloatArray, apart: Apart) -> Callable[[Traces], ExitRule]:
    """Thresholds from samples; above 0 under a guard, where 0 says that an answer is forbidden."""
    if apart.left is None:
        return lambda traces: choose(target, grid, traces)
    return lambda traces: choose(target, np.maximum(grid, LEAST), traces).at_least(LEAST)


def cascade(rule: ExitRule, exits: int, target: Target) -> BanditSection:
    """The policy that plays `rule`; what a limit on offloads is about is shipped after the last early exit."""
    shipping = {"ship_after": exits - 1} if target.max_offload is not None and exits > 1 else {}
    return BanditSection(name="cascade", params={**rule.params(), **shipping})
