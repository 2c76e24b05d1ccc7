"""Traces that policies are compared on: the authors' own logs, one of our own networks', and a made-up one.

The logs have no licence that would let them live here: OFFRAMP_DATA names a folder with them, and without it the
benchmark goes on with what there is.
"""

from __future__ import annotations

import csv
import gzip
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bandits.path_model import PathModel
from bandits.policy import Arm
from bandits.published.adaee import THRESHOLDS
from split_core import traces as traces_files
from split_core.traces import Traces

# The papers' costs: the whole network on the device, an offload, and the second exit where theirs is in the cloud only.
NETWORK, OFFLOAD, NOT_ON_DEVICE = 1.2, 0.3, 1.0


@dataclass(frozen=True)
class Task:
    """A trace under one cost model.

    Attributes:
        name: for tables.
        traces: readings.
        model: costs.
        arms: that the best fixed arm is chosen from; None for all splits with all thresholds of the joint grid.
        thresholds: are the arms thresholds of one exit, as UCBEE's?
    """

    name: str
    traces: Traces
    model: PathModel
    arms: tuple[Arm, ...] | None = None
    thresholds: bool = False


def tasks(own: list[Path]) -> list[Task]:
    """Everything that is there; threshold traces at the price at which their authors show them."""
    found = []
    for name, traces in recorded(own).items():
        if traces.exits == 2:
            found.append(_threshold_task(name, traces, 0.1))
        else:
            model = PathModel.published(traces.exits, per_layer=NETWORK / traces.exits, offload=OFFLOAD)
            found.append(Task(f"{name} o={OFFLOAD:g}", traces, model))
    return found


def _threshold_task(name: str, traces: Traces, offload: float) -> Task:
    model = PathModel(
        device_ms=(0.0, 0.0, NOT_ON_DEVICE), head_ms=(0.0,) * 3, encode_ms=(0.0,) * 2, cloud_ms=(0.0,) * 2,
        link_base_ms=offload, objective=PathModel.published(2, per_layer=0.0, offload=0.0).objective, ship="hidden",
    )  # fmt: skip
    return Task(f"{name} o={offload:g}", traces, model, tuple(Arm(1, alpha) for alpha in THRESHOLDS), thresholds=True)


def recorded(own: list[Path]) -> dict[str, Traces]:
    """Traces by name; logits and hidden states are of no use here."""
    folder = os.environ.get("OFFRAMP_DATA")
    found = _published(Path(folder) / "traces") if folder else {}
    found.update((f"{path.parent.name}/{path.stem}", _light(traces_files.load(path))) for path in own)
    return found or {"made up": made_up()}


def _light(traces: Traces) -> Traces:
    return Traces(traces.confidence, traces.prediction, traces.labels)


def _published(folder: Path) -> dict[str, Traces]:
    readers = {
        "CIFAR-10 mab": lambda: _cifar(folder / "cifar10-two-exits-mab.csv.gz", "infered_class_branches_"),
        "CIFAR-10 timed": lambda: _cifar(folder / "cifar10-two-exits-timed.csv.gz", "prediction_branch_"),
        "BERT SST-2": lambda: _bert(folder / "bert-sst2-dev-12-exits.csv.gz"),
    }
    return {name: read() for name, read in readers.items()} if folder.is_dir() else {}


def _columns(path: Path, wanted: tuple[str, ...]) -> list[np.ndarray]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = [[float(row[key]) for key in wanted] for row in csv.DictReader(file)]
    return list(np.array(rows).T)


def _cifar(path: Path, predicted: str) -> Traces:
    wanted = ("conf_branch_1", "conf_branch_2", f"{predicted}1", f"{predicted}2", "target")
    first, second, said_first, said_second, target = _columns(path, wanted)
    said = np.stack([said_first, said_second], axis=1).astype(np.int64)
    return Traces(np.stack([first, second], axis=1), said, target.astype(np.int64))


def _bert(path: Path) -> Traces:
    sample, exit, confidence, prediction, label = _columns(
        path, ("Sample_ID", "Exit", "Confidence", "Prediction", "Label")
    )
    order, shape = np.lexsort((exit, sample)), (-1, int(exit.max()) + 1)
    said = prediction[order].reshape(shape).astype(np.int64)
    return Traces(confidence[order].reshape(shape), said, label[order].reshape(shape)[:, 0].astype(np.int64))


def made_up(samples: int = 10_000, exits: int = 5) -> Traces:
    """A network that does not exist, so that there is something without any data: calibrated, deeper is better."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, samples)
    ease = rng.beta(1.5, 0.7, (samples, 1))
    depth = (np.arange(1, exits + 1) / exits) ** 0.5
    confidence = np.clip(0.3 + 0.68 * ease**0.5 * depth**0.4 + rng.normal(0.0, 0.04, (samples, exits)), 0.1, 1.0)
    # One draw per frame: a frame that an exit gets right, surer exits get right too.
    right = rng.random((samples, 1)) < confidence
    return Traces(confidence, np.where(right, labels[:, None], (labels[:, None] + 1) % 10), labels)
