"""What was asked of the thresholds: kept on all samples that are left for it, tried on a half that took no part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from partitioner.calibrate.choose import choose
from partitioner.calibrate.exit_rule import ExitRule
from partitioner.calibrate.targets import Target, promises, reached
from split_core.errors import DataError
from split_core.policy import BanditSection, PromiseSection
from split_core.tensors import FloatArray
from split_core.traces import Traces


@dataclass(frozen=True, slots=True)
class Apart:
    """The samples that temperatures and maps were not fitted on, in random order.

    Attributes:
        rows: (M,) their places among all samples.
        raw: with neither temperature nor map.
        read: as the policy reads them.
    """

    rows: NDArray[np.int64]
    raw: Traces
    read: Traces

    @property
    def half(self) -> int:
        """How many of them choose thresholds, when the rest shall test them."""
        return len(self.rows) // 2


@dataclass(frozen=True, slots=True)
class Trial:
    """Thresholds chosen on one half of what was kept apart, and the other half, which they never saw.

    Attributes:
        rule: the thresholds.
        rows: (T,) places of the tested samples among all.
        tested: these samples, as the policy reads them.
    """

    rule: ExitRule
    rows: NDArray[np.int64]
    tested: Traces


@dataclass(frozen=True, slots=True)
class Kept:
    """Thresholds that are shipped, what is promised about them, and the trial; None when a half is too few."""

    rule: ExitRule
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
    rule = choose(target, grid, apart.read)
    trial = _trial(target, grid, apart)
    found = reached(target, trial.rule, trial.tested) if trial else {}
    tested = trial.tested.samples if trial else 0
    return Kept(rule, promises(target, apart.read.samples, found, tested), trial)


def _trial(target: Target, grid: FloatArray, apart: Apart) -> Trial | None:
    tested = slice(apart.half, None)
    try:
        rule = choose(target, grid, apart.read.rows(slice(0, apart.half)))
    except DataError:
        return None  # all samples carry it, half of them do not: then nothing is left to test on
    return Trial(rule, apart.rows[tested], apart.read.rows(tested))


def cascade(rule: ExitRule, exits: int, target: Target) -> BanditSection:
    """The policy that plays `rule`; what a limit on offloads is about is shipped after the last early exit."""
    shipping = {"ship_after": exits - 1} if target.max_offload is not None and exits > 1 else {}
    return BanditSection(name="cascade", params={**rule.params(), **shipping})
