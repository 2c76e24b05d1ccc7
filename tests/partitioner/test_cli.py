from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from split_core import bundle, policy, traces
from split_core.cli import main
from tests.tiny import LABELS, tiny_model, tiny_samples

CONFIG = """
name: quadrants
version: "3"
labels: [top left, top right, bottom left, bottom right]
preprocess: {height: 8, width: 8, colour: gray, mean: [0.5], std: [0.25]}
"""


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    images, labels = tiny_samples(400, seed=3)
    np.savez(tmp_path / "samples.npz", images=images, labels=labels)
    return tmp_path / "samples.npz"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def command(*words: object) -> Any:
        assert main([str(word) for word in words]) == 0
        printed = capsys.readouterr().out
        return json.loads(printed) if "--json" in words else printed

    return command


def refusal(capsys: pytest.CaptureFixture[str], code: int, *words: object) -> str:
    assert main([str(word) for word in words]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


def test_partition_writes_what_the_config_says(run: Any, tiny_model_path: Path, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(CONFIG)
    facts = run("partition", tiny_model_path, "--config", tmp_path / "net.yaml", "--out", tmp_path / "b", "--json")
    loaded = bundle.load(tmp_path / "b" / "quadrants" / "3")
    assert facts["id"] == loaded.id
    assert facts["bundle"] == str(loaded.root)
    assert facts["certificate"]["passed"] is True
    assert loaded.manifest.labels == LABELS
    assert loaded.manifest.preprocess is not None


def test_options_win_over_the_config(run: Any, tiny_model_path: Path, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(CONFIG)
    (tmp_path / "labels.txt").write_text("a\nb\n\nc\nd\n")
    words = ["partition", tiny_model_path, "--config", tmp_path / "net.yaml", "--out", tmp_path / "b"]
    run(*words, "--name", "other", "--version", "4", "--labels", f"@{tmp_path / 'labels.txt'}")
    assert bundle.load(tmp_path / "b" / "other" / "4").manifest.labels == ("a", "b", "c", "d")
    run(*words, "--labels", "w, x,y,z")
    assert bundle.load(tmp_path / "b" / "quadrants" / "3").manifest.labels == ("w", "x", "y", "z")


def test_partition_shows_pieces_and_certificate(run: Any, tiny_model_path: Path, tmp_path: Path) -> None:
    printed = run("partition", tiny_model_path, "--out", tmp_path / "b")
    for words in ("hidden_1", "4x8x8", "bit-equal", "certificate passed", "wrote"):
        assert words in printed


def test_list_cuts_writes_nothing(run: Any, tiny_model_path: Path, tmp_path: Path) -> None:
    words = ["partition", tiny_model_path, "--out", tmp_path / "b", "--list-cuts"]
    listed = run(*words, "--json")["cuts"]
    named = [row["tensors"] for row in listed if row["chosen"]]
    assert named == [["hidden_1"], ["hidden_2"]]
    assert len(listed) > 8
    assert "hidden_2" in run(*words)
    assert not (tmp_path / "b").exists()


def test_verify_replaces_the_certificate(run: Any, tiny_copy: Path, tiny_model_path: Path, samples: Path) -> None:
    words = ["verify", tiny_copy, "--model", tiny_model_path, "--data", samples, "--take", ":10", "--seed", 8]
    certificate = run(*words, "--json")
    assert certificate == bundle.load(tiny_copy).certificate
    assert (certificate["real_samples"], certificate["seed"]) == (10, 8)
    assert "certificate passed" in run(*words)


def test_calibrate_and_trace_make_a_policy_and_traces_that_agree(
    run: Any, tiny_bundle: Path, samples: Path, tmp_path: Path
) -> None:
    facts = run(
        "calibrate",
        tiny_bundle,
        "--data",
        samples,
        "--take",
        "0:300",
        "--out",
        tmp_path / "p.yaml",
        "--trace",
        tmp_path / "c.npz",
        "--ship",
        "hidden",
        "--ms",
        2,
        "--mu",
        0.5,
        "--threads",
        1,
        "--json",
    )
    made = policy.load(tmp_path / "p.yaml")
    assert facts["id"] == made.id
    assert facts["file"] == made.model_dump(mode="json")
    assert len(facts["held_out"]) == 3
    assert (made.bundle_id, made.ship) == (bundle.load(tiny_bundle).id, "hidden")
    assert (made.objective.ms, made.objective.kb, made.objective.mu) == (2.0, 0.0, 0.5)
    calibration = traces.load(tmp_path / "c.npz")
    assert calibration.samples == 300
    again = run(
        "trace",
        tiny_bundle,
        "--data",
        samples,
        "--take",
        "0:300",
        "--policy",
        tmp_path / "p.yaml",
        "--out",
        tmp_path / "s.npz",
        "--threads",
        1,
        "--json",
    )
    recorded = traces.load(tmp_path / "s.npz")
    np.testing.assert_allclose(recorded.confidence, calibration.confidence, atol=1e-6)
    np.testing.assert_array_equal(recorded.payload_bytes, calibration.payload_bytes)
    assert again["accuracy"] == pytest.approx(recorded.correct.mean(axis=0).tolist(), abs=1e-6)


def test_calibrate_prints_tables(run: Any, tiny_bundle: Path, samples: Path, tmp_path: Path) -> None:
    printed = run("calibrate", tiny_bundle, "--data", samples, "--out", tmp_path / "p.yaml", "--threads", 1)
    printed = " ".join(printed.split())
    for words in ("ECE", "certified", "webp", "cut 2", "fitted on one half of 400 samples", "wrote"):
        assert words in printed


def test_an_objective_file_is_read_and_options_win_over_it(
    run: Any, tiny_bundle: Path, samples: Path, tmp_path: Path
) -> None:
    (tmp_path / "o.yaml").write_text("{ms: 3.0, kb: 0.25}")
    run(
        "calibrate",
        tiny_bundle,
        "--data",
        samples,
        "--out",
        tmp_path / "p.yaml",
        "--objective",
        tmp_path / "o.yaml",
        "--kb",
        0.5,
        "--threads",
        1,
        "--json",
    )
    objective = policy.load(tmp_path / "p.yaml").objective
    assert (objective.ms, objective.kb, objective.mu) == (3.0, 0.5, 0.01)


def test_trace_without_a_policy_is_raw(run: Any, tiny_bundle: Path, samples: Path, tmp_path: Path) -> None:
    printed = run("trace", tiny_bundle, "--data", samples, "--out", tmp_path / "s.npz", "--threads", 1)
    assert "400 samples" in printed
    assert traces.load(tmp_path / "s.npz").bundle_id == bundle.load(tiny_bundle).id


def test_wrong_use_is_one_line_and_leaves_nothing_behind(
    capsys: pytest.CaptureFixture[str], tiny_bundle: Path, tiny_model_path: Path, samples: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (tmp_path / "odd.yaml").write_text("lables: [a]")
    (tmp_path / "foreign.yaml").write_text("id: 1")
    cases = [
        (3, "cannot be read", "partition", tmp_path / "absent.onnx", "--out", out),
        (2, "did you mean 'labels'", "partition", tiny_model_path, "--config", tmp_path / "odd.yaml", "--out", out),
        (2, "4 classes, got 2", "partition", tiny_model_path, "--labels", "a,b", "--out", out),
        (2, "cannot be read", "partition", tiny_model_path, "--labels", "@nowhere", "--out", out),
        (3, "is this the folder", "calibrate", tmp_path, "--data", samples, "--out", out),
        (3, "no such file", "calibrate", tiny_bundle, "--data", tmp_path / "no.npz", "--out", out),
        (2, "--take", "calibrate", tiny_bundle, "--data", samples, "--take", "9", "--out", out),
        (3, "asks for number 401", "trace", tiny_bundle, "--data", samples, "--take", "0:401", "--out", out),
        (3, "too few", "calibrate", tiny_bundle, "--data", samples, "--take", "0:9", "--out", out),
        (
            3,
            "bundle_id: expected a value, there is none",
            "trace",
            tiny_bundle,
            "--data",
            samples,
            "--policy",
            tmp_path / "foreign.yaml",
            "--out",
            out,
        ),
    ]
    for code, words, *command in cases:
        assert words in refusal(capsys, code, *command, "--json")
        assert not out.exists()


def test_a_policy_of_another_bundle_is_refused(
    capsys: pytest.CaptureFixture[str],
    run: Any,
    tiny_bundle: Path,
    tiny_model_path: Path,
    samples: Path,
    tmp_path: Path,
) -> None:
    run("calibrate", tiny_bundle, "--data", samples, "--out", tmp_path / "p.yaml", "--threads", 1)
    (tmp_path / "net.yaml").write_text(CONFIG)
    run("partition", tiny_model_path, "--config", tmp_path / "net.yaml", "--out", tmp_path / "b")
    other = tmp_path / "b" / "quadrants" / "3"
    said = refusal(
        capsys, 3, "trace", other, "--data", samples, "--policy", tmp_path / "p.yaml", "--out", tmp_path / "s"
    )
    assert "made for bundle" in said
    assert "offramp calibrate" in said


def test_a_bare_network_goes_the_whole_road(run: Any, samples: Path, tmp_path: Path) -> None:
    model = tiny_model()
    del model.graph.output[:-1]
    (tmp_path / "bare.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "net.yaml").write_text(CONFIG)
    words = ["partition", tmp_path / "bare.onnx", "--config", tmp_path / "net.yaml", "--out", tmp_path / "b"]
    run(*words, "--cuts", 2)
    root = tmp_path / "b" / "quadrants" / "3"
    run("calibrate", root, "--data", samples, "--out", tmp_path / "p.yaml", "--threads", 1)
    assert [head.trained for head in bundle.load(root).manifest.heads] == [False, False]
    assert len(policy.load(tmp_path / "p.yaml").exits) == 3
