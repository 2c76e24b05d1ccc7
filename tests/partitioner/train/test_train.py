"""`offramp train` on the tiny network, cut where it has no exits of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from partitioner.build import Wish, certify, partition
from partitioner.precision.rounding import Rounding
from partitioner.sources import read_network
from partitioner.train import training
from partitioner.train.fit import Fitting
from partitioner.verify import Trial
from split_core import bundle as bundles
from split_core import cli
from tests.tiny import IDENTITY, tiny_samples

CUTS = Wish(cuts="c_2,f_3")
Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def untrained(tiny_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("untrained")
    network = read_network(str(tiny_model_path))
    return partition(network, out, identity=IDENTITY, wish=CUTS, trial=Trial(), clock=time.time)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    images, labels = tiny_samples(800, seed=3)
    np.savez(folder / "labelled.npz", images=images, labels=labels)
    np.savez(folder / "plain.npz", images=images)
    return folder


@pytest.fixture
def run(untrained: Path, samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def train(*words: str, data: str = "labelled.npz", bundle: Path = untrained) -> dict[str, Any]:
        given = ["train", str(bundle), "--data", str(samples / data), "--out", str(tmp_path), "--head", "max_average"]
        code = cli.main([*given, *words, "--json"])
        said = capsys.readouterr()
        assert code == 0, said.err
        return dict(json.loads(said.out))

    return train


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert cli.main(["train", *words]) in (2, 3)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize("target", ["labels", "distilled"])
def test_exits_that_knew_nothing_are_right_far_more_often_than_by_chance(run: Run, target: str) -> None:
    facts = run("--target", target)
    *trained, final = facts["exits"]
    assert len(trained) == 2
    for row in trained:
        assert row["accuracy_before"] < 0.35
        assert row["accuracy_after"] > 0.7
        assert row["agreement"] > 0.7
    assert final["accuracy_before"] == final["accuracy_after"]


def test_a_convolution_may_be_the_head(run: Run) -> None:
    facts = run("--head", "conv", "--epochs", "10")
    assert all(row["accuracy_after"] > 0.7 for row in facts["exits"][:-1])


@pytest.mark.parametrize("target", ["selfxit", "fastbert"])
def test_without_labels_exits_learn_what_the_final_exit_says(run: Run, target: str) -> None:
    facts = run("--target", target, data="plain.npz")
    assert all(row["agreement"] > 0.7 and row["accuracy_after"] is None for row in facts["exits"][:-1])


def test_the_target_is_what_the_samples_allow(run: Run) -> None:
    assert run()["target"] == "labels"
    assert run(data="plain.npz")["target"] == "selfxit"


def test_segments_are_the_old_ones_and_heads_are_trained(run: Run, untrained: Path) -> None:
    facts = run("--version", "2")
    new, old = bundles.load(Path(facts["bundle"])), bundles.load(untrained)
    assert new.manifest.segments == old.manifest.segments
    assert [new.content(piece) for piece in new.manifest.segments] == [old.content(p) for p in old.manifest.segments]
    assert [piece.trained for piece in new.manifest.heads] == [True, True]
    assert [piece.trained for piece in old.manifest.heads] == [False, False]
    assert (new.manifest.version, new.id == old.id) == ("2", False)
    source = new.manifest.source
    assert source["sha256"] == old.manifest.source["sha256"]
    assert source["trained_from"] == old.id
    assert source["training_target"] == "labels"
    assert len(source["training_data_sha256"]) == 64


def test_the_certificate_says_what_was_compared(run: Run, untrained: Path) -> None:
    certificate = run()["certificate"]
    assert bundles.load(untrained).id in certificate["against"]
    assert [entry["exit"] for entry in certificate["heads"]] == [1, 2]
    assert all(entry["torch_max_difference"] < 1e-5 * entry["scale"] for entry in certificate["heads"])
    assert all(entry["bit_equal_off"] for entry in (*certificate["cuts"], *certificate["exits"]))
    assert certificate["real_samples"] == 16


def test_a_trained_bundle_can_be_verified_by_its_network(run: Run, tiny_model_path: Path) -> None:
    facts = run("--model", str(tiny_model_path))
    assert "against" not in facts["certificate"]
    assert len(facts["certificate"]["heads"]) == 2
    again = certify(Path(facts["bundle"]), read_network(str(tiny_model_path)), Trial(seed=5), time.time)
    assert again["passed"]
    assert again["bundle_id"] == facts["id"]


def test_the_same_seed_trains_the_same_bundle(run: Run) -> None:
    assert run("--version", "a")["exits"][0]["loss"] == run("--version", "b")["exits"][0]["loss"]
    assert run("--version", "c", "--seed", "1")["exits"][0]["loss"] != run("--version", "b")["exits"][0]["loss"]


def test_one_exit_alone_may_be_trained_and_the_other_later(run: Run) -> None:
    first = run("--exits", "2", "--version", "2")
    half = bundles.load(Path(first["bundle"])).manifest
    assert [piece.trained for piece in half.heads] == [False, True]
    second = run("--version", "3", bundle=Path(first["bundle"]))
    whole = bundles.load(Path(second["bundle"])).manifest
    assert [row["exit"] for row in second["exits"]] == [1, 3]
    assert whole.heads[1] == half.heads[1]
    assert whole.source["trained_exits"] == "1,2"


def test_an_exit_of_the_networks_own_may_be_trained_anew(run: Run, tiny_bundle: Path, tiny_model_path: Path) -> None:
    facts = run("--exits", "1", "--version", "2", "--model", str(tiny_model_path), bundle=tiny_bundle)
    assert facts["exits"][0]["accuracy_after"] > facts["exits"][0]["accuracy_before"]
    old, new = bundles.load(tiny_bundle).manifest, bundles.load(Path(facts["bundle"])).manifest
    assert (new.heads[0] == old.heads[0], new.heads[1] == old.heads[1]) == (False, True)


class Interrupted(Exception):
    """Stands for a power cut."""


def test_an_interrupted_training_goes_on_to_the_same_end(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--epochs", "8", "--checkpoint", str(tmp_path / "c.npz"))
    whole = run("--epochs", "8", "--version", "whole")
    epoch = Fitting.epoch

    def stops(fitting: Fitting) -> None:
        if fitting.progress.epoch == 5:
            raise Interrupted
        epoch(fitting)

    with monkeypatch.context() as patch:
        patch.setattr(training.Fitting, "epoch", stops)
        with pytest.raises(Interrupted):
            run(*words, "--version", "cut")
    rest = run(*words, "--version", "rest")
    assert [row["loss"] for row in rest["exits"]] == [row["loss"] for row in whole["exits"]]
    pieces = [bundles.load(Path(facts["bundle"])).manifest.heads for facts in (whole, rest)]
    assert pieces[0] == pieces[1]
    code = cli.main(["train", str(Path(whole["bundle"])), "--exits", "1", "--data", str(tmp_path / "no.npz"), *words])
    assert code == 3
    assert "no such file" in capsys.readouterr().err


def test_the_checkpoint_of_another_training_is_refused(
    run: Run, untrained: Path, samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = str(tmp_path / "c.npz")
    run("--epochs", "1", "--checkpoint", kept)
    data = str(samples / "labelled.npz")
    said = refusal(capsys, str(untrained), "--data", data, "--out", str(tmp_path), "--checkpoint", kept)
    assert "of another training" in said


def test_a_bundle_with_other_precisions_gets_them_anew(
    run: Run, samples: Path, tiny_model_path: Path, tmp_path: Path
) -> None:
    rounding = Rounding(("int8",), samples / "labelled.npz")
    network = read_network(str(tiny_model_path))
    root = partition(network, tmp_path, identity=IDENTITY, wish=CUTS, trial=Trial(), clock=time.time, rounding=rounding)
    facts = run("--version", "2", bundle=root)
    written = bundles.load(Path(facts["bundle"]))
    assert list(written.manifest.precisions) == ["int8"]
    assert all(piece.trained for piece in written.manifest.precisions["int8"].heads)
    assert facts["certificate"]["precisions"]["int8"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--target", "lables"], "did you mean 'labels'"),
        (["--head", "liner"], "did you mean 'linear'"),
        (["--head", "text_pooler"], "does not suit a cut that carries c_2"),
        (["--exits", "3"], "expected 1..2"),
        (["--exits", "one"], "expected numbers"),
        (["--version", "1"], "bundles do not change"),
        (["--validation", "1"], "expected a share"),
        (["--learning-rate", "0"], "expected more than 0"),
        (["--temperature", "0"], "temperature must be above 0"),
        (["--take", "0:801"], "holds 800 samples"),
        (["--take", "0:1"], "cannot be split"),
        (["--version", "a/b"], "version"),
        (["--learning-rate", "1e30"], "exit 1"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(
    words: list[str], expected: str, untrained: Path, samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", str(samples / "labelled.npz"), "--out", str(tmp_path / "out"), "--epochs", "2"]
    assert expected in refusal(capsys, str(untrained), *data, *words)
    assert not (tmp_path / "out").exists()


def test_samples_without_labels_cannot_train_by_labels(
    untrained: Path, samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", str(samples / "plain.npz"), "--out", str(tmp_path), "--target", "labels"]
    assert "selfxit needs none" in refusal(capsys, str(untrained), *data)
