"""What every exit criterion costs on the device: python -m benchmarks.criteria [--quick] [--json FILE]

Microseconds per reading, from logits to confidence, as the edge loop asks for it: six exits, hidden states
of 64 values, 10 and 1000 classes; the mean over the exits of a frame that goes to the end.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.harness import arguments, at_most, report, statistics
from split_core.criteria import CRITERIA
from split_core.criteria.base import WEIGHTS
from split_core.criteria.build import make_criterion
from split_core.readings import ExitCalibration, Reader, Reading
from split_core.tensors import Array

EXITS, WIDTH = 6, 64
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


def main() -> None:
    options = arguments(__doc__)
    rounds = 200 if options.quick else 2000
    figures = {
        name: {f"{classes} classes": cost_us(name, classes, rounds) for classes in (10, 1000)} for name in CRITERIA
    }
    goals = [
        at_most(f"{name}, per reading", figures[name]["10 classes"]["median"], "us", 20.0, "10 classes, 6 exits")
        for name in CRITERIA
        if WEIGHTS not in CRITERIA.load(name).needs
    ]
    report("criteria", figures, goals, options)


if __name__ == "__main__":
    main()
