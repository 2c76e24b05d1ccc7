"""What exit criteria cost on the device and save in compute: python -m benchmarks.criteria [--quick] [--json FILE]

1. microseconds per reading, from logits to confidence, as the edge loop asks for it: six exits, hidden states
   of 64 values, 10 and 1000 classes; the mean over the exits of a frame that goes to the end;
2. accuracy against mean compute (multiply-accumulates, with all heads on the way) of the demo network on
   Fashion-MNIST, for every criterion that needs logits only; the setting that saves the most at 0.5 points
   lost is chosen on one half of the test images and told on the other.  With --json FILE also as FILE's .png.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.criteria_data import cheapest, compute_shares, logits_and_labels, points_of, surest
from benchmarks.harness import Goal, arguments, at_least, at_most, report, statistics
from split_core.criteria import CRITERIA
from split_core.criteria.base import HIDDEN, WEIGHTS
from split_core.criteria.build import make_criterion
from split_core.readings import ExitCalibration, Reader, Reading
from split_core.tensors import Array

EXITS, WIDTH = 6, 64
MOST_LOST = 0.005  # of accuracy
PARAMS: dict[str, dict[str, Any]] = {"exit_share": {"thresholds": [0.9, 0.9, 0.8, 0.8, 0.7, 0.0]}}


def shapes(name: str, classes: int) -> dict[str, tuple[int, ...]]:
    """Arrays of the criteria that need some."""
    inner, table = EXITS - 1, (2 * WIDTH, WIDTH)
    return {
        "learned": {"weight": (WIDTH,), "bias": ()},
        "gates": {"weight": (inner, 4), "bias": (inner,)},
        "q_exit": {
            "embedding": (inner, 2 * WIDTH),
            "weight_1": table,
            "bias_1": (WIDTH,),
            "weight_2": (WIDTH, WIDTH),
            "bias_2": (WIDTH,),
            "weight_3": (WIDTH,),
            "bias_3": (),
        },
        "past_future": {
            "imitation": (inner, WIDTH, WIDTH),
            "imitation_bias": (inner, WIDTH),
            "head": (inner, classes, 2 * WIDTH),
            "head_bias": (inner, classes),
        },
    }.get(name, {})


def reader(name: str, classes: int, rng: np.random.Generator) -> Reader:
    """Reads with temperatures, without maps."""
    arrays = {key: rng.normal(0.0, 0.1, shape) for key, shape in shapes(name, classes).items()}
    criterion = make_criterion(name, exits=EXITS, params=PARAMS.get(name), arrays=arrays or None)
    return Reader([ExitCalibration(temperature=1.5)] * EXITS, criterion)


def frame(asked: Reader, logits: Array, states: list[Array | None]) -> None:
    """All exits of one frame, read in order."""
    readings: list[Reading] = []
    for exit, (row, state) in enumerate(zip(logits, states, strict=True), 1):
        readings.append(asked.read(exit, row, state, readings))


def cost_us(name: str, classes: int, rounds: int) -> dict[str, Any]:
    """Microseconds per reading."""
    rng = np.random.default_rng(0)
    asked = reader(name, classes, rng)
    logits = rng.normal(0.0, 3.0, (EXITS, classes)).astype(np.float32)
    states: list[Array | None] = [*rng.normal(0.0, 1.0, (EXITS - 1, WIDTH)), None]
    samples = []
    for _ in range(rounds + 20):
        started_s = time.perf_counter()
        frame(asked, logits, states)
        samples.append((time.perf_counter() - started_s) * 1e6 / EXITS)
    return statistics(samples[20:], "us")


def saved(quick: bool) -> dict[str, Any]:
    """Accuracy and compute per criterion, with every single exit and the full network beside them."""
    traces = logits_and_labels(2000 if quick else 10_000)
    half = traces.samples // 2
    fitted, tested = traces.rows(slice(0, half)), traces.rows(slice(half, None))
    together, alone = compute_shares()
    right = [(part.logits.argmax(axis=2) == part.labels[:, None]).mean(axis=0) for part in (fitted, tested)]
    names = [name for name in CRITERIA if not {HIDDEN, WEIGHTS} & CRITERIA.load(name).needs]
    pairs = {name: points_of(name, fitted, tested, together) for name in names}
    chosen = {name: cheapest(found, right[0][-1] - MOST_LOST) for name, found in pairs.items()}
    return {
        "samples": {"chosen on": fitted.samples, "told on": tested.samples},
        "single exits": [{"accuracy": float(a), "compute": float(c)} for a, c in zip(right[1], alone, strict=True)],
        "chosen": chosen,
        "at half the compute": {name: surest(found, 0.5) for name, found in pairs.items()},
        "curves": {name: [there for _, there in found] for name, found in pairs.items()},
    }


def draw(figures: dict[str, Any], path: Path) -> None:
    """All curves in one picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5.5), layout="constrained")
    axes = figure.subplots()
    for place, (name, points) in enumerate(figures["curves"].items()):
        ordered = sorted(points, key=lambda point: point["compute"])
        x, y = ([100 * point[key] for point in ordered] for key in ("compute", "accuracy"))
        axes.plot(
            x,
            y,
            marker=".",
            ms=4,
            lw=1,
            ls=("-", "--")[place % 2],
            color=f"C{place}" if place < 10 else "k",
            label=name,
        )
    x, y = ([100 * point[key] for point in figures["single exits"]] for key in ("compute", "accuracy"))
    axes.plot(x, y, "ks", ms=7, label="one exit alone")
    axes.axhline(y[-1] - 100 * MOST_LOST, color="grey", lw=1, ls=":")
    axes.set(xlabel="mean compute, % of the full network", ylabel="accuracy, %", ylim=(min(y) - 1, max(y) + 1))
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)


def savings_goals(figures: dict[str, Any]) -> list[Goal]:
    """At least half of the compute saved at 0.5 points lost, on the half that it was not chosen on."""
    full = figures["single exits"][-1]["accuracy"]
    best = min(figures["chosen"], key=lambda name: figures["chosen"][name]["compute"])
    goals = []
    for name in dict.fromkeys(("max_prob", best)):
        point, half = figures["chosen"][name], figures["at half the compute"][name]
        lost = 100 * (full - point["accuracy"])
        goals += [
            at_least(f"{name}, compute saved", 100 * (1 - point["compute"]), "%", 50.0, f"at {lost:.2f} points lost"),
            at_most(f"{name}, accuracy lost there", lost, "points", 100 * MOST_LOST, "the full network"),
            at_most(
                f"{name}, accuracy lost with half the compute",
                100 * (full - half["accuracy"]),
                "points",
                100 * MOST_LOST,
                f"at {100 * (1 - half['compute']):.0f} % saved",
            ),
        ]
    return goals


def main() -> None:
    options = arguments(__doc__)
    rounds = 200 if options.quick else 2000
    costs = {
        name: {f"{classes} classes": cost_us(name, classes, rounds) for classes in (10, 1000)} for name in CRITERIA
    }
    goals = [
        at_most(f"{name}, per reading", costs[name]["10 classes"]["median"], "us", 20.0, "10 classes, 6 exits")
        for name in CRITERIA
        if WEIGHTS not in CRITERIA.load(name).needs
    ]
    savings = saved(options.quick)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        draw(savings, options.json.with_suffix(".png"))
    goals += savings_goals(savings)
    report("criteria", {"us_per_reading": costs, "compute": savings}, goals, options)


if __name__ == "__main__":
    main()
