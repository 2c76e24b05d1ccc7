from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.bandits.report.example_run import example_result, example_series, write_example

_RESULT, _SERIES = example_result(), example_series()


@pytest.fixture
def document() -> dict[str, Any]:
    """result.json of a made-up run, free to change."""
    return copy.deepcopy(_RESULT)


@pytest.fixture
def series_document() -> dict[str, Any]:
    """series.json of the same run, free to change."""
    return copy.deepcopy(_SERIES)


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A folder as the demo leaves it."""
    write_example(tmp_path, _RESULT, _SERIES)
    return tmp_path
