from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from partitioner.calibrate.exit_rule import ExitRule
from partitioner.calibrate.slices import Slice, of_rows, read_metadata, slices
from split_core.errors import DataError
from split_core.traces import Traces


def test_the_worst_slice_comes_first() -> None:
    confidence = np.array([[0.9, 1.0], [0.9, 1.0], [0.1, 1.0], [0.9, 1.0]])
    prediction = np.array([[1, 1], [0, 1], [0, 1], [1, 0]])
    traces = Traces(confidence, prediction, np.ones(4, np.int64))
    found = slices(ExitRule((0.5,)), traces, {"light": ["day", "night", "night", "day"]})
    assert found == [Slice("light", "night", 2, 0.5, 1.0, 0.5), Slice("light", "day", 2, 1.0, 0.5, 1.0)]


def test_metadata_has_a_line_per_sample(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("camera,light\na,day\nb,night\n", encoding="utf-8")
    read = read_metadata(path, 2)
    assert read == {"camera": ["a", "b"], "light": ["day", "night"]}
    assert of_rows(read, np.array([1])) == {"camera": ["b"], "light": ["night"]}
    with pytest.raises(DataError, match="2 lines under 2 columns; expected one full line per sample, 3"):
        read_metadata(path, 3)
    path.write_text("", encoding="utf-8")
    with pytest.raises(DataError, match="0 lines under 0 columns"):
        read_metadata(path, 0)
    with pytest.raises(DataError, match="cannot be read"):
        read_metadata(tmp_path / "absent.csv", 2)
