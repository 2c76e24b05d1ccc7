"""`python -m benchmarks.pretrained` on the demo's network and few samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.cifar_data import class_names, pictures


def test_pictures_are_read_once_in_an_order_that_their_names_give(tmp_path: Path) -> None:
    data, work = tmp_path / "data", tmp_path / "work"
    for value, name in ((40, "cat"), (200, "dog")):
        folder = data / "train" / name
        folder.mkdir(parents=True)
        for number in range(8):
            Image.new("RGB", (32, 32), (value, value, value)).save(folder / f"{number}.png")
    first = pictures(data, "train", work)
    assert class_names(data) == ("cat", "dog")
    assert (first.images[:, 0, 0, 0] == np.where(first.labels, 200, 40)).all()
    assert sorted(first.labels) == [0] * 8 + [1] * 8
    assert list(first.labels) != sorted(first.labels)
    for file in (data / "train").glob("*/*.png"):
        file.unlink()
    assert (pictures(data, "train", work).labels == first.labels).all()


def test_exits_are_learned_with_and_without_labels(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from benchmarks import pretrained

    figures = pretrained.exits_of(pretrained.demo(400, 300), tmp_path, epochs=4)
    exits = figures["exits"]
    assert len(figures["exits after"]) == 5
    for name in ("labels", "selfxit"):
        *early, final = exits[name]["accuracy"]
        assert min(early) > max(exits["untrained"]["accuracy"][:-1]) + 0.3
        assert final == exits["untrained"]["accuracy"][-1]
        assert figures["seconds"][name] > 0
    assert [goal.goal for goal in pretrained.goals_of(figures)] == [5.0, 5.0, 1.0]
    assert pretrained.table(figures).row_count == 5
