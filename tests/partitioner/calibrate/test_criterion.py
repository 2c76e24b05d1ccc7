"""Criteria that need more than logits, from the command line to the device's reader."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from partitioner.calibrate import record
from partitioner.calibrate.record import aligned
from split_core import bundle as bundles
from split_core import policy, traces
from split_core.cli import main
from split_core.criteria.arrays import write_arrays
from split_core.errors import PolicyFileError, TraceError
from tests.tiny import tiny_samples

# 1 - sigmoid(-h0): surer where the first pooled channel is larger; exits 1 and 2 are 4 and 6 wide.
LEARNED = {"weight": np.zeros((2, 6)), "bias": np.zeros(2), "widths": np.array([4, 6])}
LEARNED["weight"][:, 0] = -1.0


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    images, labels = tiny_samples(300, seed=3)
    np.savez(tmp_path / "samples.npz", images=images, labels=labels)
    return tmp_path / "samples.npz"


def calibrated(bundle: Path, samples: Path, out: Path, *words: object) -> int:
    command = ["calibrate", bundle, "--data", samples, "--out", out, "--codec-samples", 20, *words, "--json"]
    return main([str(word) for word in command])


def test_a_trained_criterion_is_calibrated_copied_and_read_again(
    tiny_bundle: Path, samples: Path, tmp_path: Path
) -> None:
    bundle_id = bundles.load(tiny_bundle).id
    marks = {"criterion": np.array("learned"), "bundle": np.array(bundle_id)}
    sha256 = write_arrays({**LEARNED, **marks}, tmp_path / "learned.npz")
    out = tmp_path / "made" / "policy.yaml"
    words = ["--criterion", "learned", "--criterion-arrays", tmp_path / "learned.npz", "--trace", tmp_path / "t.npz"]
    out.parent.mkdir()
    assert calibrated(tiny_bundle, samples, out, *words) == 0
    (tmp_path / "learned.npz").unlink()
    made = policy.load(out)
    assert made.criterion_arrays is not None
    assert (made.criterion_arrays.sha256, made.criterion_arrays.file) == (sha256, f"learned-{sha256[:12]}.npz")
    recorded = traces.load(tmp_path / "t.npz")
    assert [states.shape for states in recorded.hidden] == [(300, 4), (300, 6)]
    again = recorded.read_with(made.reader(out.parent))
    np.testing.assert_array_equal(again.confidence, recorded.confidence)
    # Surer than by any logits: the score is of the hidden state.
    raw = made.model_copy(update={"exits": tuple(type(one)() for one in made.exits)}).reader(out.parent)
    np.testing.assert_allclose(
        recorded.read_with(raw).confidence[:, 0], 1 / (1 + np.exp(-recorded.hidden[0][:, 0])), atol=1e-6
    )


def test_a_criterion_of_hidden_states_needs_no_more_than_its_name(
    tiny_bundle: Path, samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--criterion", "similarity_patience", "--criterion-param", "patience=1"]
    assert calibrated(tiny_bundle, samples, tmp_path / "p.yaml", *words) == 0
    assert json.loads(capsys.readouterr().out)["file"]["criterion_params"] == {"patience": 1}


def test_a_trace_keeps_hidden_states_when_asked_and_a_policy_may_read_them(
    tiny_bundle: Path, samples: Path, tmp_path: Path
) -> None:
    assert calibrated(tiny_bundle, samples, tmp_path / "p.yaml", "--criterion", "similarity") == 0
    reader = policy.load(tmp_path / "p.yaml").reader()
    words = ["trace", str(tiny_bundle), "--data", str(samples), "--json"]
    assert main([*words, "--out", str(tmp_path / "bare.npz")]) == 0
    assert main([*words, "--out", str(tmp_path / "full.npz"), "--hidden"]) == 0
    assert traces.load(tmp_path / "bare.npz").hidden == ()
    assert traces.load(tmp_path / "full.npz").read_with(reader).samples == 300
    with pytest.raises(TraceError, match="record it with 'offramp trace --hidden'"):
        traces.load(tmp_path / "bare.npz").read_with(reader)


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["--criterion", "patience", "--criterion-param", "patiense=2"], 2, "did you mean 'patience'"),
        (["--criterion", "patience", "--criterion-param", "patience"], 2, "expected key=value"),
        (["--criterion", "patience", "--criterion-param", "patience=0"], 2, "from 1 to 1000"),
        (["--criterion", "exit_share"], 2, "needs the parameter 'thresholds'"),
        (["--criterion", "gates"], 2, "offramp train --criterion gates"),
        (["--criterion", "learned", "--criterion-arrays", "absent.npz"], 3, "cannot be read"),
        (["--criterion", "learned", "--criterion-arrays", "other.npz"], 2, "trained for bundle aaaa"),
        (["--criterion", "max_prob", "--criterion-arrays", "plain.npz"], 2, "takes no trained arrays"),
        (["--criterion", "hash", "--criterion-arrays", "hash.npz"], 3, "this trace has none"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    words: list[str],
    code: int,
    expected: str,
    tiny_bundle: Path,
    samples: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_arrays(LEARNED, tmp_path / "plain.npz")
    write_arrays({**LEARNED, "bundle": np.array("a" * 64)}, tmp_path / "other.npz")
    write_arrays({"exits": np.array([0, 1, 2])}, tmp_path / "hash.npz")
    assert calibrated(tiny_bundle, samples, tmp_path / "p.yaml", *words) == code
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert expected in said
    assert not (tmp_path / "p.yaml").exists()


def test_arrays_that_were_changed_since_are_refused(tiny_bundle: Path, samples: Path, tmp_path: Path) -> None:
    write_arrays(LEARNED, tmp_path / "learned.npz")
    words = ["--criterion", "learned", "--criterion-arrays", tmp_path / "learned.npz"]
    assert calibrated(tiny_bundle, samples, tmp_path / "p.yaml", *words) == 0
    made = policy.load(tmp_path / "p.yaml")
    assert made.criterion_arrays is not None
    write_arrays({**LEARNED, "bias": np.ones(2)}, tmp_path / made.criterion_arrays.file)
    with pytest.raises(PolicyFileError, match="train it again"):
        made.reader(tmp_path)


def test_batches_of_texts_of_several_lengths_are_filled_up() -> None:
    made = aligned([np.array([[5, 6]]), np.array([[7, 8, 9], [1, 2, 3]])])
    assert made.tolist() == [[5, 6, -1], [7, 8, 9], [1, 2, 3]]


def test_more_hidden_states_than_fit_are_refused_before_all_are_computed(
    tiny_bundle: Path,
    samples: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(record, "MOST_STATE_BYTES", 300 * 10 * 4 - 1)  # 300 samples, 4 + 6 values of 4 bytes
    assert calibrated(tiny_bundle, samples, tmp_path / "p.yaml", "--criterion", "similarity") == 3
    assert "take fewer samples with --take" in capsys.readouterr().err
    assert calibrated(tiny_bundle, samples, tmp_path / "p.yaml", "--criterion", "similarity", "--take", ":299") == 0
