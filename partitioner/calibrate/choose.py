"""From what is asked to the thresholds that keep it; or a refusal in one line that says what would help."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from partitioner.calibrate.classes import per_class
from partitioner.calibrate.exit_rule import ExitRule, at_exits, exits_by_threshold
from partitioner.calibrate.losses import LOSSES
from partitioner.calibrate.pcee import PCEE, bin_size
from partitioner.calibrate.risk import RISK_CONTROLS
from partitioner.calibrate.risk.sequence import RiskControl
from partitioner.calibrate.targets import Target, reached
from split_core.errors import DataError
from split_core.tensors import FloatArray
from split_core.traces import Traces

MORE = (2, 4, 8, 16, 32, 64)  # times the samples that a refusal tries


def choose(target: Target, grid: FloatArray, traces: Traces) -> ExitRule:
    """Thresholds that keep `target`.

    Args:
        target: what is asked.
        grid: (L,) descending shared thresholds, from samples that are not in `traces`.
        traces: N samples in random order, read with maps that were fitted on others.

    Raises:
        DataError: the samples cannot support it; the message says what would.
    """
    if target.accuracy is not None:
        rule = _by_accuracy(target, target.accuracy, traces)
    elif target.max_drop is not None:
        rule = _by_risk(replace(target, loss="drop"), target.max_drop, "--max-drop", grid, traces)
    elif target.risk is not None:
        rule = _by_risk(target, target.risk, "--risk", grid, traces)
    else:
        return _within_limits(target, grid, traces)
    if target.per_class:
        rule = _with_classes(target, rule, traces)
    _check_limits(target, rule, traces)
    return rule


def _by_accuracy(target: Target, accuracy: float, traces: Traces) -> ExitRule:
    size = bin_size(traces.samples, accuracy)
    if traces.samples < size:
        raise DataError(
            f"--accuracy {accuracy:g}: thresholds are chosen on half of the samples, {traces.samples}; so few "
            f"mistakes are first seen among {size}: give at least {2 * size}"
        )
    thresholds = PCEE[target.method or "pcee_ws"](traces, accuracy)
    if all(one is None for one in thresholds):
        best = max((traces.correct[_surest(traces, k, size), k].mean() for k in range(traces.exits - 1)), default=0.0)
        raise DataError(
            f"--accuracy {accuracy:g}: no exit reaches it; the best is right in {best:.1%} of the {size} samples it is "
            f"surest of, the full network in {traces.correct[:, -1].mean():.1%} of all; more samples would not help: "
            f"ask for less"
        )
    return ExitRule(thresholds)


def _surest(traces: Traces, k: int, size: int) -> NDArray[np.int64]:
    return np.argsort(-traces.confidence[:, k], kind="stable")[:size].astype(np.int64)


def _by_risk(target: Target, epsilon: float, option: str, grid: FloatArray, traces: Traces) -> ExitRule:
    control: RiskControl = RISK_CONTROLS.load(target.control)
    exits = exits_by_threshold(traces.confidence, grid)
    losses = at_exits(LOSSES[target.loss](traces), exits)
    delta = 1.0 - target.confidence
    place = control(losses, epsilon=epsilon, delta=delta)
    early: NDArray[np.bool_] = np.any(exits < traces.exits - 1, axis=0)
    if place is None or not early[place]:
        raise DataError(f"{option} {epsilon:g}: {_what_would_do(target, control, losses, early, epsilon)}")
    return _shared(float(grid[place]), traces.exits)


def _what_would_do(
    target: Target, control: RiskControl, losses: FloatArray, early: NDArray[np.bool_], epsilon: float
) -> str:
    """Tries the same samples several times over, as if more of their like had come."""
    n, delta = len(losses), 1.0 - target.confidence
    rng = np.random.default_rng(n)
    for times in MORE:
        more = losses[rng.permutation(np.tile(np.arange(n), times))]
        place = control(more, epsilon=epsilon, delta=delta)
        if place is not None and early[place]:
            return (
                f"{n} samples (half of those given) do not show it at confidence {target.confidence:g} by "
                f"{target.control!r}; about {2 * n * times} samples would"
            )
    strictest = losses[:, early].mean(axis=0)[0] if early.any() else losses[:, 0].mean()
    return (
        f"the strictest threshold at which anything leaves early has a mean loss of {strictest:.3f}, the full network "
        f"{losses[:, 0].mean():.3f}; {2 * n * MORE[-1]} samples would not show it: ask for less"
    )


def _shared(threshold: float, exits: int) -> ExitRule:
    return ExitRule((threshold if np.isfinite(threshold) else None,) * (exits - 1))


def _with_classes(target: Target, rule: ExitRule, traces: Traces) -> ExitRule:
    by_agreement = target.accuracy is None and target.loss == "consistency"
    good = traces.agrees if by_agreement else traces.correct
    share = target.accuracy if target.accuracy is not None else 1.0 - (target.risk or 0.0)
    return per_class(rule, traces, good, target=share, risk=1.0 - target.confidence)


def _within_limits(target: Target, grid: FloatArray, traces: Traces) -> ExitRule:
    """The strictest shared threshold that keeps the limits: quality is best there."""
    for threshold in grid:
        rule = _shared(float(threshold), traces.exits)
        if not _beyond(target, rule, traces):
            return rule
    raise DataError(_beyond(target, rule, traces))


def _check_limits(target: Target, rule: ExitRule, traces: Traces) -> None:
    if beyond := _beyond(target, rule, traces):
        raise DataError(beyond)


def _beyond(target: Target, rule: ExitRule, traces: Traces) -> str:
    """Says which limit the rule breaks; empty when none."""
    found = reached(target, rule, traces)
    if target.budget_ms is not None and found["budget_ms"] > target.budget_ms:
        return (
            f"--budget-ms {target.budget_ms:g}: a frame takes {found['budget_ms']:.3g} ms on the device in the mean; "
            f"more samples would not help: raise it, or ask for less quality"
        )
    if target.max_offload is not None and found["max_offload"] > target.max_offload:
        return (
            f"--max-offload {target.max_offload:g}: no early exit answers {found['max_offload']:.1%} of the frames; "
            f"more samples would not help: raise it, or ask for less quality"
        )
    return ""
