"""CIFAR-10 for `benchmarks.criteria`: networks trained alike, and what they answer."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cifar_data import PREPROCESS, Pictures, parts_of, pictures
from benchmarks.cifar_train import Recipe, trained
from benchmarks.criteria_data import Arrays, Setting, compute_shares, macs_of, nodes_of_exits
from benchmarks.criteria_pcee import claim_goals, claimed, pcee_rows
from benchmarks.harness import Goal
from partitioner.calibrate.record import Recorder
from partitioner.chain import Chain
from partitioner.sources import read_network
from partitioner.train.criteria import TRAINERS
from partitioner.train.criteria.base import Lesson
from partitioner.train.schedule import Schedule
from split_core import bundle as bundles
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.errors import DataError
from split_core.traces import Traces, load, save

ROWS = 50
COSTS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)  # of the whole network to gates, nats: their knob is in training
KNOBS: dict[str, Sequence[dict[str, float]]] = {"gates": [{"cost": cost} for cost in COSTS]}
EARLY = "early"  # the network with exits; the others have none


def cifar(
    data: Path, work: Path, epochs: int, without_exits: Sequence[str]
) -> tuple[Setting, dict[str, Any], list[Goal]]:
    """Train what is not in `work`; then the network with exits, the ones without, PCEE's table, and its goals."""
    recipe = Recipe(data, work, epochs)
    files = {name: trained(name, recipe) for name in (EARLY, *without_exits)}
    apart, tested = parts_of(data, work)[1], pictures(data, "test", work)
    traces = answers(recipe, "test", tested)
    half = traces.samples // 2
    learned = taught(answers(recipe, "apart", apart))
    setting = Setting(
        traces.rows(slice(0, half)), traces.rows(slice(half, None)), *compute_shares(files[EARLY]), learned
    )
    whole = macs(files[EARLY])
    networks = {
        name: {"compute": macs(file) / whole, "accuracy": accuracy(file, tested.part(slice(half, None)))}
        for name, file in files.items()
        if name != EARLY
    }
    rows = pcee_rows(setting)
    claims = claimed(rows, networks)
    figures = {"epochs": epochs, "multiply-accumulates": whole, "networks": networks, "pcee": rows, "claim": claims}
    return setting, figures, claim_goals(claims)


def answers(recipe: Recipe, part: str, shown: Pictures) -> Traces:
    """What all exits of the bundle say, with pooled hidden states; kept beside the network."""
    kept = recipe.work / f"{EARLY}-{recipe.epochs}-{part}-trace.npz"
    if not kept.exists():
        chain = Chain(bundles.load(recipe.bundle(EARLY)), OnnxRuntimeBackend(), threads=1)
        made = Recorder(chain, len(shown.labels), states=True)
        for start in range(0, len(shown.labels), ROWS):
            made.add(chain.run([PREPROCESS.tensor(shown.images[start : start + ROWS])]))
        traces = made.traces(shown.labels, np.empty((0, 0), np.int64), "")
        save(traces, kept)
    return load(kept)


def taught(traces: Traces) -> dict[str, list[Arrays]]:
    """Trained arrays of every criterion that takes some from images, learned from samples new to the network."""
    schedule = Schedule()
    lesson, found = Lesson(traces, *schedule.split(traces.samples), schedule), {}
    for name in TRAINERS:
        if name in ("hash", "exit_share"):  # one is for texts, the other is counted
            continue
        try:
            found[name] = [TRAINERS.load(name)(**knob).fit(lesson).arrays for knob in KNOBS.get(name, [{}])]
        except DataError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
    return found


def macs(file: Path) -> int:
    """Of a network with its last exit only."""
    network = read_network(str(file))
    return macs_of(network, nodes_of_exits(network)[-1])


def accuracy(file: Path, shown: Pictures) -> float:
    """Of an uncut network's last output."""
    session, right = OnnxRuntimeBackend().load(file.read_bytes(), threads=1), 0
    for start in range(0, len(shown.labels), ROWS):
        said = session.run([PREPROCESS.tensor(shown.images[start : start + ROWS])])[-1].argmax(axis=1)
        right += int((said == shown.labels[start : start + ROWS]).sum())
    return right / len(shown.labels)
