"""The sequential policy on made-up networks of several kinds: python -m benchmarks.sequential [--quick] [--json FILE]

Exits that are sure of everything, worse than the one before, independent of each other, hardly better than the first,
two, twelve; each at nine prices.  Printed per kind, over its prices: mean loss over that of the best fixed arm in
hindsight, mean and worst; and of the second half of the frames over the offline fit, which has seen them all.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bandits.build import make_policy
from bandits.hindsight import Hindsight
from bandits.path_model import PathModel
from bandits.replay import replay_stream
from bandits.scenarios.build import make_stream
from bandits.sequential.offline import SequentialOffline
from benchmarks.harness import arguments, at_most, report
from split_core.traces import Traces

SAMPLES, FRAMES = 10_000, 10_000
# Errors that the whole network on the device is worth, and what shipping costs of that.
NETWORKS, OFFLOADS = (0.1, 0.3, 0.6), (0.3, 0.8, 1.5)
# Skill of every exit, and what else is not as in `network`.
WORLDS: dict[str, tuple[tuple[float, ...], dict[str, float]]] = {
    "six exits": ((1.5, 2.2, 2.9, 3.6, 4.3, 5.0), {}),
    "sure of everything": ((1.5, 2.2, 2.9, 3.6, 4.3, 5.0), {"sharpness": 12.0}),
    "sure of nothing": ((1.5, 2.2, 2.9, 3.6, 4.3, 5.0), {"sharpness": 1.0}),
    "worse than before": ((2.0, 4.0, 1.0, 3.0, 2.0, 5.0), {}),
    "no better than the first": ((3.0,) * 6, {}),
    "independent": ((3.0,) * 6, {"memory": 0.0}),
    "tiny gaps": ((3.0, 3.02, 3.04, 3.06), {"memory": 0.98}),
    "two classes": ((1.0, 1.6, 2.2, 2.8, 3.4, 4.0), {"classes": 2, "sharpness": 2.0}),
    "two exits": ((2.0, 4.0), {}),
    "two, the first knows nothing": ((0.5, 4.0), {"sharpness": 12.0, "memory": 0.3}),
    "three exits": ((2.0, 3.0, 5.0), {}),
    "twelve exits": (tuple(np.linspace(1.0, 5.0, 12).tolist()), {"memory": 0.9}),
    "twelve, sure of everything": (
        tuple(np.linspace(0.5, 3.0, 12).tolist()), {"classes": 2, "sharpness": 8.0, "memory": 0.9},
    ),
}  # fmt: skip


def network(skill: tuple[float, ...], *, classes: float = 10, sharpness: float = 3.0, memory: float = 0.8) -> Traces:
    """Exits that see the true class through noise, which one shares with the next by `memory`."""
    rng, classes = np.random.default_rng(0), int(classes)
    labels, ease = rng.integers(0, classes, SAMPLES), np.exp(rng.normal(0.0, 0.6, SAMPLES))
    noise = rng.normal(size=(SAMPLES, classes))
    confidence, prediction = np.empty((SAMPLES, len(skill))), np.empty((SAMPLES, len(skill)), np.int64)
    for exit, each in enumerate(skill):
        if exit:
            noise = memory * noise + math.sqrt(1.0 - memory**2) * rng.normal(size=noise.shape)
        logits = noise.copy()
        logits[np.arange(SAMPLES), labels] += each * ease
        powers = np.exp(sharpness * (logits - logits.max(axis=1, keepdims=True)))
        confidence[:, exit] = powers.max(axis=1) / powers.sum(axis=1)
        prediction[:, exit] = logits.argmax(axis=1)
    return Traces(confidence, prediction, labels)


def ratios(traces: Traces, model: PathModel, seed: int) -> tuple[float, float]:
    """Loss over that of the best fixed arm; of the second half over that of the offline fit."""
    stream = make_stream("stationary", (traces,), model, rng=np.random.default_rng(seed), frames=FRAMES)
    hindsight = Hindsight(stream)
    learner = make_policy("sequential", exits=model.exits, rng=np.random.default_rng(seed), objective=model.objective)
    online, fitted = (
        replay_stream(policy, hindsight, np.random.default_rng([seed, 2])).run.loss
        for policy in (learner, SequentialOffline(stream.traces, model))
    )
    half = FRAMES // 2
    return float(online.mean() / hindsight.best_by_loss[1]), float(online[half:].mean() / fitted[half:].mean())


def main() -> None:
    """All worlds at all prices."""
    options = arguments(__doc__)
    found: dict[str, Any] = {}
    goals = []
    seeds = range(1 if options.quick else 3)
    for name, (skill, other) in WORLDS.items():
        traces = network(skill, **other)
        prices = [(whole, share) for whole in NETWORKS for share in OFFLOADS]
        models = [
            PathModel.published(len(skill), per_layer=whole / len(skill), offload=share * whole, ship="any")
            for whole, share in prices
        ]
        each = np.array([np.mean([ratios(traces, model, seed) for seed in seeds], axis=0) for model in models])
        (mean, fit), (worst, worst_fit) = each.mean(axis=0), each.max(axis=0)
        found[name] = {"mean": mean, "worst": worst, "of offline fit": fit, "worst of offline fit": worst_fit}
        goals.append(at_most(f"worst loss, {name}", float(worst), "x", 1.01, "best fixed arm in hindsight"))
    report("sequential", found, goals, options)


if __name__ == "__main__":
    main()
