"""A rename elsewhere must not break a benchmark that is run once a month."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

import benchmarks

MODULES = sorted(file.stem for file in Path(benchmarks.__file__).parent.glob("*.py"))
OURS = ("bandits", "benchmarks", "cloud_runtime", "edge_runtime", "partitioner", "split_core")


@pytest.mark.parametrize("name", MODULES)
def test_every_benchmark_can_be_imported(name: str) -> None:
    try:
        module = importlib.import_module(f"benchmarks.{name}")
    except ModuleNotFoundError as absent:  # an extra: torch, transformers, a package of weights
        if (absent.name or "").partition(".")[0] in OURS:
            raise
        pytest.skip(f"needs {absent.name}")
    assert module.__doc__
