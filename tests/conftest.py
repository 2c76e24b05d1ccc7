"""Fixtures that several packages' tests share."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import structlog

from partitioner.build import Wish, partition
from partitioner.precision import PRECISIONS
from partitioner.precision.rounding import Rounding
from partitioner.sources import read_network
from partitioner.verify import Trial
from tests.tiny import IDENTITY, tiny_model, tiny_samples


@pytest.fixture(scope="session")
def tiny_model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tests.tiny.tiny_model()` as a file."""
    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    path.write_bytes(tiny_model().SerializeToString(deterministic=True))
    return path


@pytest.fixture(scope="session")
def tiny_bundle(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a real, certified bundle of the tiny network; read-only by agreement."""
    out = tmp_path_factory.mktemp("bundles")
    network = read_network(str(tiny_model_path))
    return partition(network, out, identity=IDENTITY, wish=Wish(), trial=Trial(), clock=time.time)


@pytest.fixture(scope="session")
def tiny_precisions(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with every precision of the registry."""
    folder = tmp_path_factory.mktemp("precisions")
    images, labels = tiny_samples(200, seed=4)
    np.savez(folder / "samples.npz", images=images, labels=labels)
    rounding = Rounding(tuple(PRECISIONS), folder / "samples.npz")
    network = read_network(str(tiny_model_path))
    wish, trial = Wish(), Trial()
    return partition(network, folder, identity=IDENTITY, wish=wish, trial=trial, clock=time.time, rounding=rounding)


@pytest.fixture(autouse=True)
def _logs_end_with_their_test() -> Iterator[None]:
    """A command that runs in the test's process logs to the standard error of that test, which is closed behind it."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def tiny_copy(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A copy of `tiny_bundle` that a test may damage."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "copy"))
