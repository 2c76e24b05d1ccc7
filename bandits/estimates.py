"""The table of `offramp replay --off-policy`: every arm of a log, as if it had always been played."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bandits.off_policy import Estimate, Logged, doubly_robust, fitted_rewards, fixed, ips, logged_arms, snips, uniform
from split_core.objective import Objective
from split_core.telemetry.decisions import FrameRecord
from split_core.tensors import FloatArray


def estimates_of(records: Sequence[FrameRecord], objective: Objective | None) -> dict[str, Any]:
    """Estimates of every arm, of a random one, and the log's own mean; best first, JSON types only.

    Args:
        records: of a decision log.
        objective: gives mu; the default one's unless told.

    Raises:
        ArtefactError: no frame of the log can be used.
    """
    weights = objective or Objective()
    logged = logged_arms(records, weights)
    predicted = fitted_rewards(logged)
    rows = [_row(f"{arm.split} @ {arm.threshold:g}", logged, fixed(logged, arm), predicted) for arm in logged.arms]
    rows.sort(key=lambda row: -row["dr"]["value"])
    return {
        "frames": len(logged.arm),
        "left_out": logged.left_out,
        "mu": weights.mu,
        "logged_mean": float(logged.reward.mean()),
        "rows": [*rows, _row("random", logged, uniform(logged), predicted)],
    }


def _row(name: str, logged: Logged, target: FloatArray, predicted: FloatArray) -> dict[str, Any]:
    found = {
        "ips": ips(logged, target),
        "snips": snips(logged, target),
        "dr": doubly_robust(logged, target, predicted),
    }
    first = found["ips"]
    return {
        "arm": name,
        "played": float((target[logged.arm] > 0.0).mean()),
        **{key: _told(estimate) for key, estimate in found.items()},
        "effective_frames": first.effective_frames,
        "warning": first.warning,
    }


def _told(estimate: Estimate) -> dict[str, float | None]:
    """JSON knows no infinity: the error of one frame is unknown."""
    return {"value": estimate.value, "std_error": estimate.std_error if math.isfinite(estimate.std_error) else None}
