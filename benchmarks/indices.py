"""Which index, which forgetting: python -m benchmarks.indices [--quick] [--json FILE]

Regret after 10,000 frames of every bandit of `bandits.indices`, in per cent of a random arm's, on rewards of

1. `thresholds`: UCBEE's eleven thresholds at one exit, gaps of thousandths;
2. `splits`: SplitEE's twelve splits, gaps of hundredths;

of a made-up network, and, where OFFRAMP_DATA names a folder with the authors' logs, of theirs.  `stationary` draws
frames with one price of offloading; `change` raises it after 5,000 frames, and the best arm is that of each half.
Only the played arm is paid: no side observations, which help every index alike.
"""

from __future__ import annotations

import csv
import gzip
import os
from pathlib import Path
from typing import Any

import numpy as np

from bandits.indices import FORGETTING, INDICES
from bandits.indices.build import make_bandit
from benchmarks.harness import arguments, report
from split_core.tensors import FloatArray

FRAMES = 10_000
PRICES = {"thresholds": (0.1, 0.3), "splits": (0.1, 0.5)}  # of offloading, before and after the change
ALPHA = {"thresholds": np.linspace(0.0, 1.0, 11), "splits": np.full(12, 0.85)}
FORGET: dict[str, Any] = {
    "none": "none",
    "discount": {"name": "discount", "discount": 0.999},
    "window": {"name": "window", "choices": 2000},
    "change": "change",
}
# Explore as the proofs want it, and a tenth of that.
SCALES = {"own c": 1.0, "a tenth": 0.1}
OWN_C = {"ucb1": 2.0**0.5, "bayes_ucb": 0.5, "thompson": 0.5}


def made_up(exits: int, samples: int = 5_000) -> FloatArray:
    """(N, K) confidences that grow with depth, of easy and hard frames."""
    rng = np.random.default_rng(0)
    ease = rng.beta(1.2, 0.8, (samples, 1))
    depth = (np.arange(1, exits + 1) / exits) ** 0.4
    return np.clip(0.45 + 0.5 * ease * depth + rng.normal(0.0, 0.06, (samples, exits)), 0.0, 1.0)


def logged(path: Path) -> FloatArray:
    """(N, K) confidences of the authors' logs."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if "Confidence" in rows[0]:
        rows.sort(key=lambda row: (float(row["Sample_ID"]), float(row["Exit"])))
        return np.array([float(row["Confidence"]) for row in rows]).reshape(-1, 12)
    return np.array([[float(row["conf_branch_1"]), float(row["conf_branch_2"])] for row in rows])


def confidences() -> dict[tuple[str, str], FloatArray]:
    """By arms and origin."""
    found = {("thresholds", "made up"): made_up(2), ("splits", "made up"): made_up(12)}
    if "OFFRAMP_DATA" in os.environ:
        folder = Path(os.environ["OFFRAMP_DATA"]) / "traces"
        found["thresholds", "CIFAR-10"] = logged(folder / "cifar10-two-exits-mab.csv.gz")
        found["splits", "BERT SST-2"] = logged(folder / "bert-sst2-dev-12-exits.csv.gz")
    return found


def rewards(arms: str, confidence: FloatArray, price: float) -> FloatArray:
    """(N, A) what every arm would have been paid, with the papers' constants."""
    last, alpha = confidence[:, -1:], ALPHA[arms]
    if arms == "thresholds":
        gain = np.maximum(last - confidence[:, :1], 0.0) - price
        return np.where(confidence[:, :1] >= alpha, 0.0, gain)
    stays = (confidence >= alpha) | (np.arange(12) == 11)
    return np.where(stays, confidence, last - price) - 0.1 * np.arange(1, 13)


def streams(arms: str, confidence: FloatArray, seed: int) -> dict[str, list[FloatArray]]:
    """Two halves of a run per scenario: (FRAMES / 2, A) each."""
    rng, half = np.random.default_rng(seed), FRAMES // 2
    low, high = (rewards(arms, confidence, price) for price in PRICES[arms])
    first, second = (rng.integers(len(confidence), size=half) for _ in range(2))
    return {"stationary": [low[first], low[second]], "change": [low[first], high[second]]}


def regret_percent(index: dict[str, Any], forget: Any, halves: list[FloatArray], seed: int) -> float:
    """Regret against the best arm of each half, in per cent of a random arm's."""
    arms = halves[0].shape[1]
    bandit, allowed, regret, random = (
        make_bandit(index, arms, rng=np.random.default_rng(seed), forget=forget),
        range(arms),
        0.0,
        0.0,
    )
    for paid in halves:
        lost = paid.mean(axis=0).max() - paid.mean(axis=0)
        random += lost.mean() * len(paid)
        rows, loss = paid.tolist(), lost.tolist()
        for row in rows:
            arm = bandit.choose(allowed)
            bandit.update(arm, row[arm])
            regret += loss[arm]
    return 100.0 * regret / random


def settings(index: str, arms: str) -> dict[str, dict[str, Any]]:
    """The index at its own exploration weight and at a tenth; EXP3 has none."""
    low = -PRICES[arms][1] if arms == "thresholds" else -1.2
    given = {"name": index} if index in OWN_C else {"name": index, "range": [low, 1.0]}
    if index == "exp3":
        return {"own c": given}
    return {name: {**given, "c": scale * OWN_C.get(index, 1.0)} for name, scale in SCALES.items()}


def main() -> None:
    options = arguments(__doc__)
    seeds = range(1 if options.quick else 5)
    figures: dict[str, Any] = {}
    for (arms, origin), confidence in confidences().items():
        halves = [streams(arms, confidence, seed) for seed in seeds]
        for index in INDICES:
            for scale, given in settings(index, arms).items():
                for forget in FORGETTING if index != "exp3" else ("none",):
                    figures[f"{arms}, {origin}: {index}, {scale}, forget {forget}"] = {
                        scenario: float(
                            np.mean([regret_percent(given, FORGET[forget], halves[s][scenario], s) for s in seeds])
                        )
                        for scenario in ("stationary", "change")
                    }
    report("indices", figures, [], options)


if __name__ == "__main__":
    main()
