from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog

from split_core import cli, profiles
from tests.tiny import tiny_samples


@pytest.fixture
def run(tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """`offramp profile` of the tiny bundle with these words; gives the exit code and standard error."""
    np.savez(tmp_path / "images.npz", images=tiny_samples(20)[0])
    files = ["--data", str(tmp_path / "images.npz"), "--out", str(tmp_path / "door.yaml"), "--frames", "20"]

    def call(*words: str) -> tuple[int, str]:
        code = cli.main(["profile", str(tiny_bundle), *files, *words])
        return code, capsys.readouterr().err

    yield call
    structlog.reset_defaults()  # the command logs to the standard error of this test


def test_options_reach_the_backend(run, tmp_path: Path):
    assert run("--backend-option", "optimisation=off")[0] == 0
    assert profiles.load(tmp_path / "door.yaml").device.backend == "onnxruntime"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--backend-option", "optimisaton=off"], "did you mean 'optimisation'"),
        (["--backend-option", "optimisation=most"], "expected one of off, basic, extended, all"),
        (["--backend-option", "optimisation"], "expected key=value"),
        (["--backend", "onnxruntim"], "did you mean 'onnxruntime'"),
    ],
    ids=["option", "value", "no value", "backend"],
)
def test_what_no_backend_is_or_takes_is_one_line(run, words: list[str], said: str):
    code, error = run(*words)
    assert code == 2
    assert said in error
    assert error.strip().count("\n") == 0


@pytest.mark.skipif(importlib.util.find_spec("tensorrt") is not None, reason="tensorrt is installed")
def test_without_tensorrt_it_says_what_to_install(run):
    code, error = run("--backend", "tensorrt")
    assert code == 4
    assert "pip install 'offramp[tensorrt]'" in error
    assert error.strip().count("\n") == 0
