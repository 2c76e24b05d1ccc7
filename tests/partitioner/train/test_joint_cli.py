"""`offramp train joint`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip("torch")

import torch

from split_core import bundle as bundles
from split_core import cli
from tests import text_world
from tests.tiny import LABELS, tiny_samples

MODULES = "tests.partitioner.train.joint_modules"
QUICK = ("--epochs", "2", "--batch", "32", "--learning-rate", "0.01", "--threads", "1")
Run = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def own_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("joint")
    images, labels = tiny_samples(400, seed=3)
    np.savez(made / "labelled.npz", images=images, labels=labels)
    np.savez(made / "plain.npz", images=images)
    preprocess = {"height": 8, "width": 8, "colour": "gray", "mean": [0.5], "std": [0.25]}
    (made / "tiny.yaml").write_text(yaml.safe_dump({"name": "tiny", "labels": list(LABELS), "preprocess": preprocess}))
    return made


def words_for(folder: Path, module: str, data: str = "labelled.npz") -> list[str]:
    given = ["--data", str(folder / data), "--config", str(folder / "tiny.yaml")]
    return ["train", "joint", f"{MODULES}:{module}", *given, *QUICK]


def test_a_module_with_exits_becomes_a_bundle_that_can_be_verified(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "network.onnx"
    more = ["--out", str(tmp_path), "--network", str(kept), "--padding", "1", "--weighting", "depth", "--json"]
    assert cli.main([*words_for(folder, "WithItsOwn"), *more]) == 0
    said = capsys.readouterr()
    facts = json.loads(said.out)
    assert "epoch" not in said.err
    assert [row["exit"] for row in facts["exits"]] == [1, 2]
    assert (facts["samples"], facts["validation_samples"], len(facts["epochs"])) == (360, 40, 2)
    bundle = bundles.load(Path(facts["bundle"]))
    assert bundle.manifest.source["module"] == f"{MODULES}:WithItsOwn"
    assert bundle.manifest.source["training_weighting"] == "depth"
    assert cli.main(["verify", facts["bundle"], "--model", str(kept), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["real_samples"] == 0


def test_named_parts_get_exits(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*words_for(folder, "Frozen"), "--out", str(tmp_path), "--at", "second,first", "--head", "mlp"]
    assert cli.main(words) == 0
    said = capsys.readouterr()
    assert "3, final" in said.out
    assert "epoch 2 of 2: right" in said.err
    assert bundles.load(tmp_path / "tiny" / "1").manifest.exits == 3


@pytest.mark.parametrize(
    ("module", "words", "expected"),
    [
        ("Body", ["--at", "frist"], "did you mean 'first'"),
        ("Body", ["--at", "nothing.like"], "there are: first, second, answer"),
        ("Body", ["--at", "first", "--head", "text_pooler"], "head 'text_pooler' does not suit"),
        ("WithItsOwn", ["--at", "first"], "has 2 exits of its own"),
        ("Pair", ["--at", "second"], "gives tuple"),
        ("Pair", ["--at", "unused"], "does not run"),
        ("Map", [], "has no classes"),
        ("Missing", [], "has no 'Missing'"),
        ("WithItsOwn", ["--weighting", "unifrom"], "did you mean 'uniform'"),
        ("WithItsOwn", ["--target", "nothing"], "no training target named"),
        ("WithItsOwn", ["--way", "sideways"], "sideways"),
        ("WithItsOwn", ["--depths", "0.5"], "expected 2 rising shares"),
        ("WithItsOwn", ["--depths", "a,b"], "expected numbers"),
        ("WithItsOwn", ["--validation", "1"], "expected a share"),
        ("WithItsOwn", ["--learning-rate", "0"], "learning rate must be above 0"),
        ("WithItsOwn", ["--learning-rate", "1e30"], "the loss is not a number"),
        ("WithItsOwn", ["--epochs", "0"], "at least 1"),
        ("WithItsOwn", ["--padding", "-1"], "at least 0"),
        ("WithItsOwn", ["--take", "0:401"], "holds 400 samples"),
        ("WithItsOwn", ["--mix", "2"], "mix in [0, 1]"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], module: str, words: list[str], expected: str
) -> None:
    code = cli.main([*words_for(folder, module), "--out", str(tmp_path / "out"), "--json", *words])
    assert code in (2, 3)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert len(lines) == 1
    assert expected in lines[0]
    assert not (tmp_path / "out").exists()


def test_samples_without_labels_are_refused(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*words_for(folder, "WithItsOwn", "plain.npz"), "--out", str(tmp_path)]) == 3
    assert "have no labels" in capsys.readouterr().err


def test_a_network_file_is_no_module(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "joint", "x.onnx", "--data", str(folder / "labelled.npz"), "--out", str(tmp_path)]) == 2
    assert "give package.module:factory" in capsys.readouterr().err


def test_a_network_of_texts_learns_from_a_tsv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tokenizers")
    (tmp_path / "tokenizer.json").write_bytes(text_world.tokenizer_json())
    preprocess = {"tokeniser": "tokenizer.json", "max_length": text_world.MAX_LENGTH}
    said = {"name": "reviews", "labels": ["negative", "positive"], "preprocess": preprocess}
    (tmp_path / "text.yaml").write_text(yaml.safe_dump(said))
    names = said["labels"]
    (tmp_path / "texts.tsv").write_text("".join(f"{text}\t{names[label]}\n" for text, label in text_world.lines(600)))
    words = ["--data", str(tmp_path / "texts.tsv"), "--config", str(tmp_path / "text.yaml"), "--out", str(tmp_path)]
    shapes = ["--input", "attention_mask=int64:batch,sequence(6:9)", "--input", "input_ids=int64:batch,sequence"]
    assert cli.main(["train", "joint", f"{MODULES}:Reads", *words, *shapes, *QUICK, "--epochs", "20", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [row["accuracy"] > 0.9 for row in facts["exits"]] == [True, True]
    assert bundles.load(Path(facts["bundle"])).intake() is not None
