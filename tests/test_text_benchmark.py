"""`python -m benchmarks.text` in small: its replay and its drift on a tiny text network, without the pretrained one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tokenizers")

from benchmarks import text, text_drift
from benchmarks.text_drift import DAMAGES, Watcher
from split_core import bundle as bundles
from split_core import cli, traces
from split_core import policy as policies
from tests.text_world import OTHER, lines, text_bundle, tokenizer_json, write_tsv


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text")
    root = str(text_bundle(folder, exits=True))
    write_tsv(folder / "dev.tsv", lines(600, seed=3))
    write_tsv(folder / "test.tsv", lines(150, seed=4))
    policy = ["--out", str(folder / "policy.yaml")]
    assert cli.main(["calibrate", root, "--data", str(folder / "dev.tsv"), "--max-drop", "0.1", *policy]) == 0
    out = ["--policy", str(folder / "policy.yaml"), "--out", str(folder / "test.npz")]
    assert cli.main(["trace", root, "--data", str(folder / "test.tsv"), *out]) == 0
    return folder


@pytest.fixture(scope="module")
def watcher(work: Path) -> Watcher:
    bundle = bundles.load(work / "bundles" / "reviews" / "1")
    return Watcher.of(bundle, policies.load(work / "policy.yaml"), threads=1)


@pytest.mark.parametrize("ship", ["any", "hidden"])
def test_policies_are_replayed_with_the_stated_costs(work: Path, ship: str) -> None:
    policy = policies.load(work / "policy.yaml")
    rows = {row["name"]: row for row in text.policy_rows(traces.load(work / "test.npz"), policy, ship, 1)}
    assert policy.bandit.name == "cascade"
    assert set(rows) >= {"edge_only", "offload_all", "best_fixed", "random", "cascade", "grid"}
    assert ("cloud_only" in rows) == (ship == "any")
    assert rows["edge_only"]["mean_cost"] == pytest.approx(3 * text.LAYER_MS + text.HEAD_MS)
    assert rows["edge_only"]["accuracy"] == 1.0
    assert rows["cascade"]["offload_share"] == 0.0


def test_texts_that_tell_nothing_raise_the_alarm_and_clean_ones_do_not(watcher: Watcher) -> None:
    pairs = lines(600, seed=8)
    labels = np.array([label for _, label in pairs])
    clean = watcher.row([line for line, _ in pairs], labels)
    assert (clean["accuracy"], clean["fires_after"]) == (1.0, None)
    rng = np.random.default_rng(0)
    empty = [" ".join(rng.choice(OTHER, 5)) for _ in pairs]
    strange = watcher.row(empty)
    assert strange["accuracy"] is None
    assert strange["fires_after"] is not None
    assert strange["psi"] > clean["psi"]


def test_damages_change_texts_and_are_the_same_every_time() -> None:
    line = "a lovely warm film with a dull weak grim story"
    for name, damage in DAMAGES.items():
        made, again = (damage(line, np.random.default_rng(1)) for _ in range(2))
        assert made == again, name
        assert (made == line) == (name == "none"), name
    assert sorted(text_drift.shuffled(line, np.random.default_rng(1)).split()) == sorted(line.split())


def test_the_standard_librarys_docstrings_are_texts_of_another_domain() -> None:
    found = text_drift.docstrings(50)
    assert len(found) == 50
    assert all(6 <= len(one.split()) <= 40 for one in found)


def test_the_alarm_is_compared_with_where_accuracy_has_fallen(watcher: Watcher) -> None:
    found = text_drift.ramp(watcher, lines(600, seed=9), clean=1.0)
    assert found["window"] == 200
    assert found["accuracy_fallen_after"] > 200


def test_without_data_it_is_skipped_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["text", "--json", str(tmp_path / "text.json")])
    text.main()
    assert "give --data DIR" in json.loads((tmp_path / "text.json").read_text())["figures"]["skipped"]


@pytest.mark.slow
def test_a_tiny_transformer_goes_the_same_road(tmp_path: Path) -> None:
    """Random weights, cut after every layer, exits trained, calibrated."""
    pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    pytest.importorskip("transformers")
    (tmp_path / "tokenizer.json").write_bytes(tokenizer_json())
    (tmp_path / "n.yaml").write_text("name: tiny\npreprocess: {tokeniser: tokenizer.json, max_length: 24}\n")
    data = ["--data", str(write_tsv(tmp_path / "x.tsv", lines(300, seed=1)))]
    given = [part for one in text.INPUTS for part in ("--input", one)]
    cuts = ["--cuts", "encoder.encoder.layer.0,encoder.encoder.layer.1"]
    said = [*given, *cuts, "--config", str(tmp_path / "n.yaml"), "--out", str(tmp_path)]
    assert cli.main(["partition", "benchmarks.sentiment:make_tiny", *said]) == 0
    learn = ["--target", "distilled", "--version", "2", "--epochs", "5", "--out", str(tmp_path)]
    assert cli.main(["train", str(tmp_path / "tiny" / "1"), *data, *learn]) == 0
    root = tmp_path / "tiny" / "2"
    crossing = [[tensor.dtype for tensor in cut.tensors] for cut in bundles.load(root).manifest.cuts[1:]]
    assert crossing == [["float32", "bool"]] * 2
    assert cli.main(["calibrate", str(root), *data, "--out", str(tmp_path / "policy.yaml")]) == 0
    assert policies.load(tmp_path / "policy.yaml").codecs.input == "tokens"
