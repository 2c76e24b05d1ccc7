"""`offramp train` and `offramp verify` on a text network and a `.tsv`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("tokenizers")

from split_core import bundle as bundles
from split_core import cli
from tests.text_world import lines, network, text_bundle, tokenizer_json, write_tsv


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_bundle(tmp_path_factory.mktemp("text"))


@pytest.mark.parametrize("target", ["labels", "distilled", "selfxit"])
def test_exits_learn_from_texts(root: Path, tmp_path: Path, target: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    data = write_tsv(tmp_path / "x.tsv", lines(400, seed=1))
    options = ["--data", str(data), "--target", target, "--out", str(tmp_path), "--epochs", "30", "--json"]
    assert cli.main(["train", str(root), *options]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["accuracy_before"] for row in told["exits"][:-1]] == pytest.approx([0.5, 0.5], abs=0.2)
    assert min(row["accuracy_after"] for row in told["exits"]) >= 0.9
    made = bundles.load(Path(told["bundle"]))
    assert (made.root / "tokenizer.json").read_bytes() == tokenizer_json()
    assert made.intake() is not None


def test_exits_learn_from_texts_without_labels(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    (tmp_path / "x.tsv").write_text("".join(f"{text}\n" for text, _ in lines(300, seed=2)))
    options = ["--data", str(tmp_path / "x.tsv"), "--out", str(tmp_path), "--epochs", "30", "--json"]
    assert cli.main(["train", str(root), *options]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["target"] == "selfxit"
    assert min(row["agreement"] for row in told["exits"]) >= 0.9


def test_a_text_bundle_is_proved_on_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, data = text_bundle(tmp_path), write_tsv(tmp_path / "x.tsv", lines(20))
    given = ["--model", str(network(tmp_path)), "--data", str(data), "--take", ":20", "--json"]
    assert cli.main(["verify", str(root), *given]) == 0
    certificate = json.loads(capsys.readouterr().out)
    assert (certificate["passed"], certificate["real_samples"]) == (True, 20)


def test_other_precisions_are_made_of_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_tsv(tmp_path / "x.tsv", lines(80))
    (tmp_path / "tokenizer.json").write_bytes(tokenizer_json())
    (tmp_path / "n.yaml").write_text(
        "labels: [negative, positive]\npreprocess: {tokeniser: tokenizer.json, max_length: 12}\n"
    )
    said = [
        "--config",
        str(tmp_path / "n.yaml"),
        "--cuts",
        "active",
        "--int8",
        str(data),
        "--out",
        str(tmp_path),
        "--json",
    ]
    assert cli.main(["partition", str(network(tmp_path)), *said]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["certificate"]["precisions"]["int8"]["samples"] > 0
    assert told["manifest"]["tokeniser"]["file"] == "tokenizer.json"
