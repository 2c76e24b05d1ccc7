"""The authors' own logs, from the folder that the environment variable OFFRAMP_DATA names.  They have no licence
that would let them live here, so whoever has no such folder skips what needs it."""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from split_core.traces import Traces

BERT_EXITS = 12


def told(claim: str, expected: str, measured: str) -> None:
    """A line of the table of claims that `pytest -s` prints."""
    print(f"\n{claim:<43} expected {expected:<31} measured {measured}", end="")


def columns(name: str, wanted: Sequence[str]) -> list[np.ndarray]:
    """Columns `wanted` of `traces/<name>.csv.gz`, as float64."""
    path = _path(f"{name}.csv.gz")
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = [[float(row[key]) for key in wanted] for row in csv.DictReader(file)]
    return list(np.array(rows).T)


def bert() -> Traces:
    """BERT on SST-2's development set: 872 sentences, 12 exits, raw confidences."""
    sample, exit, confidence, prediction, label = columns(
        "bert-sst2-dev-12-exits", ("Sample_ID", "Exit", "Confidence", "Prediction", "Label")
    )
    order = np.lexsort((exit, sample))
    shape = (-1, BERT_EXITS)
    return Traces(
        confidence[order].reshape(shape),
        prediction[order].reshape(shape).astype(np.int64),
        label[order].reshape(shape)[:, 0].astype(np.int64),
    )


def cifar(name: str) -> Traces:
    """A MobileNetV2 of two exits on CIFAR-10's 10,000 test images: `mab` or `timed`."""
    predicted = {"mab": "infered_class_branches_", "timed": "prediction_branch_"}[name]
    first, second, said_first, said_second, target = columns(
        f"cifar10-two-exits-{name}", ("conf_branch_1", "conf_branch_2", f"{predicted}1", f"{predicted}2", "target")
    )
    return Traces(
        np.stack([first, second], axis=1),
        np.stack([said_first, said_second], axis=1).astype(np.int64),
        target.astype(np.int64),
    )


def stream(traces: Traces, frames: int, seed: int) -> np.ndarray:
    """Rows of `traces` in random order, all of them before any one again, `frames` long."""
    rng = np.random.default_rng(seed)
    rounds = -(-frames // traces.samples)
    return np.concatenate([rng.permutation(traces.samples) for _ in range(rounds)])[:frames]


def imdb(exits: int) -> tuple[np.ndarray, np.ndarray]:
    """UEE-UCB's ElasticBERT on 50,000 IMDb reviews, 4 or 6 exits: predictions (N, K) and labels (N,), 0 or 1."""
    return _imdb(_path(f"imdb-{exits}-exits.tsv.gz"))


@lru_cache(maxsize=2)
def _imdb(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        table = np.loadtxt(file, dtype=np.int64, skiprows=1)
    return table[:, :-1], table[:, -1]


def _path(name: str) -> Path:
    folder = os.environ.get("OFFRAMP_DATA")
    if not folder:
        pytest.skip("OFFRAMP_DATA names no folder with published traces")
    path = Path(folder) / "traces" / name
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return path
