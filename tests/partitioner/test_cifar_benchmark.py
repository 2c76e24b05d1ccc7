"""The part of `python -m benchmarks.criteria --data` that trains, on pictures that are one colour per class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

from benchmarks.cifar_data import parts_of, pictures
from benchmarks.cifar_train import Recipe, trained
from benchmarks.criteria_cifar import accuracy, answers, macs
from benchmarks.criteria_data import compute_shares
from split_core import bundle as bundles

CLASSES = 10


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for split, count in (("train", 32), ("test", 3)):
        for label in range(CLASSES):
            folder = root / split / f"class{label}"
            folder.mkdir(parents=True)
            for number in range(count):
                noise = rng.integers(0, 40, (32, 32, 3))
                colour = [25 * label, 200 - 20 * label, 100 * (label % 3)]
                Image.fromarray((noise + colour).clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")
    return root


def test_what_is_kept_apart_is_not_learned_from(data: Path, tmp_path: Path) -> None:
    learned, apart = parts_of(data, tmp_path)
    assert (len(learned.labels), len(apart.labels)) == (288, 32)
    assert not {one.tobytes() for one in learned.images} & {one.tobytes() for one in apart.images}


@pytest.mark.slow
def test_a_network_is_trained_once_and_its_bundle_has_its_exits(data: Path, tmp_path: Path) -> None:
    recipe = Recipe(data, tmp_path, epochs=1)
    file = trained("early", recipe)
    written = file.stat().st_mtime_ns
    assert trained("early", recipe).stat().st_mtime_ns == written
    assert bundles.load(recipe.bundle("early")).manifest.exits == 6
    together, alone = compute_shares(file)
    assert (np.diff(together) > 0).all()
    assert together[0] == alone[0] < 0.25
    assert alone[-1] == 1.0
    shown = pictures(data, "test", tmp_path)
    traces = answers(recipe, "test", shown)
    assert [states.shape for states in traces.hidden] == [(30, 64)] * 5
    right = float((traces.logits[:, -1].argmax(axis=1) == shown.labels).mean())
    assert accuracy(file, shown) == pytest.approx(right)
    assert macs(file) == 40_705_536
