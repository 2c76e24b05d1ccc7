"""What exit criteria cost on the device and save in compute: python -m benchmarks.criteria [--quick] [--json FILE]

1. microseconds per reading, from logits to confidence, as the edge loop asks for it: six exits, hidden states
   of 64 values, texts of 32 tokens, 10 and 1000 classes; the mean over the exits of a frame that goes to the end;
2. accuracy against mean compute (multiply-accumulates, with all heads on the way), for every criterion; the setting
   that saves the most at 0.5 points lost is chosen on one half of the test images and told on the other.  Of the
   demo's network on Fashion-MNIST, without those that need trained arrays;
3. with --data DIR instead of 2, of a ResNet trained on CIFAR-10 together with its exits, for all of them, and beside
   smaller networks without exits: over half an hour of one core the first time, see --epochs.  Needs the extra `torch`.

With --json FILE the curves are drawn, too, as FILE's .png.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.criteria_data import Setting, cheapest, demo, front, points_of, surest
from benchmarks.criteria_pcee import claim_table
from benchmarks.criteria_plot import draw
from benchmarks.harness import Goal, at_least, at_most, parser_of, report, statistics
from split_core.criteria import CRITERIA
from split_core.criteria.base import WEIGHTS
from split_core.criteria.build import make_criterion
from split_core.readings import ExitCalibration, Reader, Reading
from split_core.registry import resolve
from split_core.tensors import Array

EXITS, WIDTH = 6, 64
TOKENS, WORDS = 32, 30_000  # of a text, and of its language
MOST_LOST = 0.005  # of accuracy
EPOCHS = 14
WIDE = 120  # columns of a table
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
        "cascade": {
            "own": (inner, classes, classes),
            "before": (inner, classes, classes),
            "shift": (inner, classes),
            "log_weights": (EXITS, EXITS),
            "bias": (EXITS, classes),
        },
    }.get(name, {})


def reader(name: str, classes: int, rng: np.random.Generator) -> Reader:
    """Reads with temperatures, without maps."""
    arrays: dict[str, Array] = {key: rng.normal(0.0, 0.1, shape) for key, shape in shapes(name, classes).items()}
    if name == "hash":
        arrays = {"exits": rng.integers(0, EXITS + 1, WORDS)}
    criterion = make_criterion(name, exits=EXITS, params=PARAMS.get(name), arrays=arrays or None)
    return Reader([ExitCalibration(temperature=1.5)] * EXITS, criterion)


def frame(asked: Reader, logits: Array, states: list[Array | None], tokens: Array) -> None:
    """All exits of one frame, read in order."""
    readings: list[Reading] = []
    for exit, (row, state) in enumerate(zip(logits, states, strict=True), 1):
        readings.append(asked.read(exit, row, state, readings, tokens))


def cost_us(name: str, classes: int, rounds: int) -> dict[str, Any]:
    """Microseconds per reading."""
    rng = np.random.default_rng(0)
    asked = reader(name, classes, rng)
    logits = rng.normal(0.0, 3.0, (EXITS, classes)).astype(np.float32)
    states: list[Array | None] = [*rng.normal(0.0, 1.0, (EXITS - 1, WIDTH)), None]
    tokens, samples = rng.integers(0, WORDS, TOKENS), []
    for _ in range(rounds + 20):
        started_s = time.perf_counter()
        frame(asked, logits, states, tokens)
        samples.append((time.perf_counter() - started_s) * 1e6 / EXITS)
    return statistics(samples[20:], "us")


def compared(setting: Setting) -> dict[str, Any]:
    """Accuracy and compute per criterion, with every single exit and the full network beside them."""
    right = [
        (part.logits.argmax(axis=2) == part.labels[:, None]).mean(axis=0) for part in (setting.fitted, setting.tested)
    ]
    pairs = {name: points_of(name, setting) for name in setting.criteria()}
    alone = zip(right[1], setting.alone, strict=True)
    return {
        "most lost": MOST_LOST,
        "samples": {"chosen on": setting.fitted.samples, "told on": setting.tested.samples},
        "single exits": [{"accuracy": float(a), "compute": float(c)} for a, c in alone],
        "to the end": float(setting.together[-1]),
        "chosen": {name: cheapest(found, right[0][-1] - MOST_LOST) for name, found in pairs.items()},
        "at half the compute": {name: surest(found, 0.5) for name, found in pairs.items()},
        "curves": {name: front(found) for name, found in pairs.items()},
    }


def savings_table(figures: dict[str, Any]) -> Table:
    """A row per criterion, the one that saves the most first."""
    full = figures["single exits"][-1]["accuracy"]
    table = Table(title=f"{figures['samples']['told on']} images; the whole network is right in {100 * full:.2f} %")
    for column in ("criterion", "compute saved, %", "points lost", "points lost at half the compute", "saved there, %"):
        table.add_column(column, justify="left" if column == "criterion" else "right")
    for name, point in sorted(figures["chosen"].items(), key=lambda item: item[1]["compute"]):
        half = figures["at half the compute"][name]
        values = (1 - point["compute"], full - point["accuracy"], full - half["accuracy"], 1 - half["compute"])
        saved, lost, lost_there, saved_there = (100 * value for value in values)
        table.add_row(name, f"{saved:.1f}", f"{lost:.2f}", f"{lost_there:.2f}", f"{saved_there:.1f}")
    return table


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


def options_of() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--data", type=Path, metavar="DIR", help="CIFAR-10: train and test, a folder per class in each")
    parser.add_argument("--work", type=Path, default=Path("build/cifar"), metavar="DIR", help="keeps what is trained")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of every network that is not in --work")
    parser.add_argument("--networks", default="small,middle,large", metavar="NAMES", help="without exits, beside it")
    options: argparse.Namespace = parser.parse_args()
    return options


def savings_of(options: argparse.Namespace) -> tuple[dict[str, Any], list[Goal]]:
    """Figures and goals of the network that is asked for; prints their tables on standard error."""
    console = Console(stderr=True, width=WIDE)
    if not options.data:
        savings = compared(demo(2000 if options.quick else 10_000))
        console.print(savings_table(savings))
        return savings, savings_goals(savings)
    cifar: Any = resolve("benchmarks.criteria_cifar:cifar", "benchmarks.criteria --data", "partition,torch")
    setting, rest, claims = cifar(options.data, options.work, options.epochs, options.networks.split(","))
    savings = {**compared(setting), **rest}
    console.print(savings_table(savings), claim_table(savings))
    return savings, [*savings_goals(savings), *claims]


def main() -> None:
    options = options_of()
    rounds = 200 if options.quick else 2000
    costs = {
        name: {f"{classes} classes": cost_us(name, classes, rounds) for classes in (10, 1000)} for name in CRITERIA
    }
    goals = [
        at_most(f"{name}, per reading", found["10 classes"]["median"], "us", 20.0, "10 classes, 6 exits")
        for name, found in costs.items()
        if WEIGHTS not in CRITERIA.load(name).needs
    ]
    savings, own = savings_of(options)
    goals += own
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        draw(savings, options.json.with_suffix(".png"))
    report("criteria", {"us_per_reading": costs, "compute": savings}, goals, options)


if __name__ == "__main__":
    main()
