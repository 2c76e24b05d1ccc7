"""What `offramp replay` answers: rows, curves for plots, and the costs behind them; JSON types only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bandits.compare import BEST_FIXED, Comparison
from bandits.path_model import PathModel
from bandits.report.names import OURS
from bandits.runs import Run

POINTS = 200  # of a curve: more cannot be seen


def answer(comparison: Comparison, model: PathModel, live: list[dict[str, Any]]) -> dict[str, Any]:
    """One cost model's answer.

    Args:
        comparison: policies over the streams.
        model: costs at the start.
        live: rows of live runs, which come first.
    """
    shown = OURS if OURS in comparison.runs else next(iter(comparison.runs))
    return {
        "rows": [*live, *(timed(row, comparison) for row in comparison.rows)],
        "regret": {
            name: _curve(comparison, curve, comparison.regret_band[name])
            for name, curve in comparison.regret.items()
            if name != BEST_FIXED
        },
        "oracle_regret": {name: _curve(comparison, curve) for name, curve in comparison.oracle_regret.items()},
        "exits": {"policy": shown, **_shares(comparison.runs[shown])},
        "best_fixed": comparison.best_fixed,
        "phases": comparison.phases,
        "cost_model": model.model_dump(mode="json", exclude={"link_residual_ms"}),
    }


def timed(row: Mapping[str, Any], comparison: Comparison) -> dict[str, Any]:
    """A row with the policy's own time, which differs from run to run."""
    return {**row, "us_per_frame": round(comparison.us_per_frame[row["name"]], 2)}


def _curve(comparison: Comparison, curve: np.ndarray, band: np.ndarray | None = None) -> dict[str, list[float]]:
    index = np.unique(np.linspace(0, len(curve) - 1, POINTS).astype(int))
    told = {"frame": comparison.frames[index].tolist(), "regret": curve[index].round(4).tolist()}
    if band is None:
        return told
    return {**told, "low": band[0][index].round(4).tolist(), "high": band[1][index].round(4).tolist()}


def _shares(run: Run, windows: int = 50) -> dict[str, list[Any]]:
    """Share of every exit on the device, then of offloads, in consecutive windows."""
    parts = np.array_split(np.arange(len(run.cost)), min(windows, len(run.cost)))
    shares = [
        [
            *(float(((run.exit == k) & ~run.cloud)[part].mean()) for k in range(1, run.exits + 1)),
            float(run.cloud[part].mean()),
        ]
        for part in parts
    ]
    return {"frame": [int(part[-1]) + 1 for part in parts], "share": shares}
