from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from split_core import bundle
from split_core.cli import main
from tests.tiny import tiny_samples


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    images, labels = tiny_samples(60, seed=3)
    np.savez(tmp_path / "samples.npz", inputs=(images[:, None, :, :, 0] / 255).astype(np.float32), labels=labels)
    return tmp_path / "samples.npz"


def test_int8_writes_both_forms_and_prints_what_they_cost(
    tiny_model_path: Path, samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["partition", str(tiny_model_path), "--out", str(tmp_path / "b"), "--int8", str(samples)]
    assert main(words) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert list(bundle.load(tmp_path / "b" / "tiny" / "1").manifest.precisions) == ["int8", "int8-tensorrt"]
    assert "precision int8, for onnxruntime" in printed
    assert "45 samples" in printed
    assert "no tensorrt engine was run" in printed


def test_fp16_and_json(tiny_model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["partition", str(tiny_model_path), "--out", str(tmp_path / "b"), "--fp16", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert list(facts["manifest"]["precisions"]) == list(facts["certificate"]["precisions"]) == ["fp16"]


def test_samples_that_are_not_there_are_one_line_and_nothing_is_written(
    tiny_model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["partition", str(tiny_model_path), "--out", str(tmp_path / "b"), "--int8", str(tmp_path / "none.npz")]
    assert main(words) != 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert "none.npz: no such file or folder" in captured.err
    assert not (tmp_path / "b").exists()


def test_a_profile_in_8_bits_says_so(tiny_precisions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "frames.npz", images=tiny_samples(20)[0])
    words = ["profile", str(tiny_precisions), "--data", str(tmp_path / "frames.npz"), "--frames", "20", "--json"]
    assert main([*words, "--out", str(tmp_path / "p.yaml"), "--precision", "int8"]) == 0
    assert json.loads(capsys.readouterr().out)["precision"] == "int8"
    assert main([*words, "--out", str(tmp_path / "q.yaml"), "--precision", "int4"]) != 0
    said = capsys.readouterr().err
    assert "bundle 'tiny' has no 'int4'; did you mean 'int8'?; it has int8, int8-tensorrt, fp16" in said
