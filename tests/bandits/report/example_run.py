"""A made-up run of the demo with the shape, spread and oddities of a real one; run as a script to write its files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

POLICIES = ("edge_only", "cloud_only", "random", "best_fixed", "splitee", "splitee_s", "ucbee", "sequential")
LIVE = ("edge_only", "cloud_only", "sequential")
ACCURACY = (0.8245, 0.9030, 0.9164, 0.9281, 0.9287, 0.9284)
BASE_COST = {
    "any": {"edge_only": 41.2, "cloud_only": 29.4, "random": 33.0, "best_fixed": 17.3, "splitee": 21.9,
            "splitee_s": 20.4, "ucbee": 18.8, "sequential": 17.9},
    "hidden": {"edge_only": 41.1, "random": 38.2, "best_fixed": 22.5, "splitee": 27.4, "splitee_s": 25.1,
               "ucbee": 24.0, "sequential": 23.2},
}  # fmt: skip
BASE_ACCURACY = {"edge_only": 0.9284, "cloud_only": 0.9252, "random": 0.907, "best_fixed": 0.9223,
                 "splitee": 0.9146, "splitee_s": 0.9172, "ucbee": 0.9195, "sequential": 0.9214}  # fmt: skip
REGRET = {"edge_only": 0.24, "cloud_only": 0.12, "random": 0.17, "best_fixed": 0.0, "splitee": 0.05,
          "splitee_s": 0.034, "ucbee": 0.016, "sequential": 0.007}  # fmt: skip


def example_result(seed: int = 7) -> dict[str, Any]:
    """result.json of the run."""
    rng = np.random.default_rng(seed)
    runs = {
        ship: {"policies": [_row(name, cost, rng) for name, cost in costs.items()]} for ship, costs in BASE_COST.items()
    }
    runs["any"] |= {
        "policy_id": "sha256:77aa01c4",
        "cost_model": {"device_ms": [0, 4.1, 9.8, 17.2, 26.0, 35.5, 41.2], "link_ms": 12.4},
    }
    return {
        "setting": {
            "headline": [
                "The link is shaped in user space to 8 Mbit/s with 20 ms of delay each way.",
                "The edge is slowed down 12 times by a profile, so that the choice of where to answer matters.",
                "A frame costs 1 per millisecond of latency plus 0.5 per KB sent plus 0.2 per millisecond of cloud time.",
            ],
            "link": {"rate_mbit": 8.0, "delay_ms": 20.0},
            "slowdown": 12.0,
            "objective": {"ms": 1.0, "kb": 0.5, "cloud_ms": 0.2, "joule": 0.0, "mu": 0.01},
            "deadline_ms": 150.0, "fps": 20.0, "frames_live": 1000, "frames_replayed": 5000,
            "device": {"machine": "x86_64", "cores": 2, "python": "3.11.7"},
            "data": "Fashion-MNIST test split, 5,000 images", "bundle_id": "sha256:3f9c22d1a8", "quick": False,
        },
        "exits": [
            {"exit": k, "accuracy": accuracy, "agreement": min(1.0, accuracy + 0.05 + 0.002 * k) if k < 6 else 1.0,
             "device_ms": 6.9 * k, "payload_bytes": (12544, 6272, 3136, 1568, 784, None)[k - 1],
             "ece_before": 0.061 - 0.005 * k, "ece_after": 0.012 - 0.001 * k}
            for k, accuracy in enumerate(ACCURACY, start=1)
        ],
        "runs": runs,
        "privacy": {"policy": "sequential", "mean_cost_any": 17.9, "mean_cost_hidden": 23.2, "extra_cost_pct": 29.6,
                    "kb_any": 0.21, "kb_hidden": 0.94},
        "outage": {"frames": 1200, "outcomes": 1200, "deadline_misses": 0, "duplicates": 0, "degraded": 41, "faults": example_faults()},
        "versions": {"offramp": "0.1.0", "python": "3.11.7", "numpy": "2.1.0", "onnxruntime": "1.20.1", "date": "2026-05-10T09:12:33Z"},
        "seconds": {"partition": 2.4, "calibrate": 6.1, "profile": 4.4, "live": 118.0, "outage": 61.0, "replay": 9.3},
    }  # fmt: skip


def _row(name: str, cost: float, rng: np.random.Generator) -> dict[str, Any]:
    live = name in LIVE
    row = {"name": name, "live": live, **_figures(name, cost, 1000 if live else 5000, rng)}
    if live:
        row["replayed"] = _figures(name, cost * rng.uniform(0.95, 1.02), 1000, rng)
    return row


def _figures(name: str, cost: float, frames: int, rng: np.random.Generator) -> dict[str, Any]:
    offload = {"edge_only": 0.0, "cloud_only": 1.0}.get(name, rng.uniform(0.1, 0.3))
    shares = rng.dirichlet((9, 4, 2, 1, 0.5, 0.5)) * (1 - offload)
    if name == "edge_only":
        shares = np.eye(6)[5]
    mean = 0.9 * cost
    return {
        "frames": frames,
        "accuracy": BASE_ACCURACY[name] + rng.normal(0, 0.001),
        "agreement": min(1.0, BASE_ACCURACY[name] + 0.055),
        "latency_ms": {"mean": mean, "p50": 0.7 * mean, "p95": 2.1 * mean, "p99": 2.9 * mean},
        "kb_per_frame": 0.9 * offload,
        "exit_share": [float(share) for share in shares],
        "offload_share": offload,
        "mean_cost": cost,
        "regret": REGRET[name] * frames,
        "deadline_misses": int(rng.integers(0, 3)),
        "degraded": int(rng.integers(0, 5)),
    }


def example_faults() -> list[dict[str, Any]]:
    return [
        {"kind": "kill", "from_s": 10.0, "to_s": 16.0, "recovery_s": 1.31},
        {"kind": "freeze", "from_s": 27.0, "to_s": 32.0, "recovery_s": 0.42},
        {"kind": "black_hole", "from_s": 43.0, "to_s": 49.0, "recovery_s": 0.93},
    ]


def example_series(seed: int = 7) -> dict[str, Any]:
    """series.json of the run."""
    rng = np.random.default_rng(seed)
    return {"runs": {ship: _lines(list(costs), rng) for ship, costs in BASE_COST.items()}, "outage": _outage(rng)}


def _lines(names: list[str], rng: np.random.Generator) -> dict[str, Any]:
    frames = np.arange(10, 5001, 10)
    regret = {name: {"frame": frames.tolist(), "regret": _curve(name, frames, rng).tolist()} for name in names}
    ends = np.arange(200, 5001, 200)
    settled = np.minimum(1.0, ends / 2500)[:, None]
    share = (1 - settled) * np.array([0.14] * 6 + [0.16]) + settled * np.array(
        [0.52, 0.21, 0.08, 0.04, 0.01, 0.0, 0.14]
    )
    share = share * rng.uniform(0.9, 1.1, share.shape)
    share /= share.sum(axis=1, keepdims=True)
    return {"regret": regret, "exits": {"frame": ends.tolist(), "share": share.tolist(), "policy": "sequential"}}


def _curve(name: str, frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    slope = REGRET[name]
    growth = frames if name in ("edge_only", "cloud_only", "random") else 900 * np.log1p(frames / 250)
    return slope * growth + np.cumsum(rng.normal(0, 0.15 * (slope > 0), len(frames)))


def _outage(rng: np.random.Generator) -> dict[str, Any]:
    times = np.arange(1200) / 20.0
    latency, kinds = [], []
    for t_s in times:
        away = any(fault["from_s"] <= t_s < fault["to_s"] + fault["recovery_s"] for fault in example_faults())
        just = any(0 <= t_s - fault["from_s"] < 0.8 for fault in example_faults())
        shipped = rng.random() < 0.2
        kind = "degraded" if shipped and just else "cloud" if shipped and not away else "edge"
        kinds.append(kind)
        latency.append(
            {
                "degraded": 143.0 + rng.normal(0, 1.5),
                "cloud": 62 + rng.gamma(2, 6),
                "edge": 7 * (1 + rng.geometric(0.5)),
            }[kind]
        )
    return {
        "deadline_ms": 150.0,
        "frames": {"t_s": times.tolist(), "latency_ms": [float(min(each, 149.0)) for each in latency], "kind": kinds},
        "faults": example_faults(),
    }


def write_example(directory: Path, result: dict[str, Any] | None = None, series: dict[str, Any] | None = None) -> None:
    """Write both files as the demo would."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "result.json").write_text(json.dumps(result or example_result()), encoding="utf-8")
    (directory / "series.json").write_text(json.dumps(series or example_series()), encoding="utf-8")


if __name__ == "__main__":
    write_example(Path(sys.argv[1]))
