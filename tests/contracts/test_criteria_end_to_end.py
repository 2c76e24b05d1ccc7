"""Whatever `CRITERIA` holds goes from training, where it has any, through calibration and a policy file to a replay.

Pictures: the demo's network on Fashion-MNIST.  Texts, for criteria that read tokens: a network of two exits.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from partitioner.build import Wish, partition
from partitioner.manifest import Identity
from partitioner.sources import read_network
from partitioner.train.criteria import TRAINERS
from partitioner.verify import Trial
from split_core import policy, traces
from split_core.cli import main
from split_core.criteria import CRITERIA
from split_core.criteria.base import TOKENS, WEIGHTS
from split_core.resources import config_path

SAMPLES, WORDS, LENGTH = 700, 30, 6
GRAPH = """
<ir_version: 10, opset_import: ["": 18]>
words (int64[batch, 6] ids) => (float[batch, 6, 4] hidden_1, float[batch, 2] exit_1, float[batch, 2] exit_2)
<float[30, 4] table, float[4, 4] mix, float[4, 2] early, float[4, 2] late, int64[1] middle>
{
    embedded = Gather(table, ids)
    hidden_1 = Relu(embedded)
    first = ReduceMean<keepdims = 0>(hidden_1, middle)
    exit_1 = MatMul(first, early)
    mixed = MatMul(hidden_1, mix)
    active = Relu(mixed)
    second = ReduceMean<keepdims = 0>(active, middle)
    exit_2 = MatMul(second, late)
}
"""
Place = tuple[Path, Path]  # a bundle and its samples
Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("pictures")
    command = ["partition", str(config_path("demo/network.onnx")), "--config", str(config_path("demo/network.yaml"))]
    assert main([*command, "--out", str(folder), "--json"]) == 0
    with np.load(config_path("demo/fashion-mnist-test.npz")) as file:
        np.savez(folder / "samples.npz", images=file["images"][:SAMPLES], labels=file["labels"][:SAMPLES])
    return folder / "fashion-mnist" / "1", folder / "samples.npz"


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The label is whether the first half of the vocabulary occurs more often; token 0 is in every text."""
    folder, rng = tmp_path_factory.mktemp("texts"), np.random.default_rng(0)
    model = parser.parse_model(GRAPH)
    side = np.where(np.arange(WORDS) < WORDS // 2, 1.0, -1.0)
    table = np.stack([side, -side, rng.normal(size=WORDS), rng.normal(size=WORDS)], 1)
    table[0] = 0.0
    answer = np.array([[-3.0, 3.0], [3.0, -3.0], [0.0, 0.0], [0.0, 0.0]])
    values = {
        "table": table,
        "mix": np.eye(4),
        "early": answer + rng.normal(size=(4, 2)),
        "late": answer,
    }
    weights = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in values.items()]
    model.graph.initializer.extend([*weights, numpy_helper.from_array(np.array([1]), "middle")])
    onnx.save(model, folder / "words.onnx")
    tokens = rng.integers(1, WORDS, (SAMPLES, LENGTH)) // rng.integers(1, 3, (SAMPLES, 1))
    tokens[:, 0] = 0
    np.savez(folder / "samples.npz", inputs=tokens, labels=(side[tokens[:, 1:]].sum(1) > 0).astype(np.int64))
    identity = Identity(name="words", labels=("few", "many"))
    network = read_network(str(folder / "words.onnx"))
    root = partition(network, folder, identity=identity, wish=Wish(), trial=Trial(), clock=time.time)
    return root, folder / "samples.npz"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def command(*words: object) -> dict[str, Any]:
        code = main([str(word) for word in (*words, "--json")])
        said = capsys.readouterr()
        assert code == 0, said.err
        return dict(json.loads(said.out.splitlines()[-1]))

    return command


def arrays_of(name: str, place: Place, folder: Path, run: Run) -> list[object]:
    """What `calibrate` gets of a training with a few samples; nothing for criteria that are not trained."""
    if name not in TRAINERS:
        return []
    if TRAINERS[name].endswith(" torch"):
        pytest.importorskip("torch")
    bundle, samples = place
    kept = ["--take", "0:500", "--validation", 0.3, "--threads", 1]
    words = [*kept, "--epochs", 4, "--batch", 32, "--learning-rate", 5e-4]
    facts = run("train", bundle, "--criterion", name, "--arrays", folder / "a.npz", "--data", samples, *words)
    assert facts["criterion"] == name
    assert facts["samples"] == [350, 150]
    assert all(row["auroc_before"] is None or 0.0 <= row["auroc_before"] <= 1.0 for row in facts["rows"])
    return ["--criterion-arrays", folder / "a.npz"]


@pytest.mark.parametrize("name", list(CRITERIA))
def test_a_criterion_goes_from_training_to_replay(
    name: str, request: pytest.FixtureRequest, tmp_path: Path, run: Run
) -> None:
    place: Place = request.getfixturevalue("texts" if TOKENS in CRITERIA.load(name).needs else "pictures")
    bundle, samples = place
    given = arrays_of(name, place, tmp_path, run)
    out, trace = tmp_path / "made" / "policy.yaml", tmp_path / "trace.npz"
    out.parent.mkdir()
    words = ["--criterion", name, *given, "--risk", 0.1, "--method", "naive", "--codec-samples", 5]
    kept = ["--take", "500:700", "--threads", 1, "--trace", trace, "--out", out]
    assert run("calibrate", bundle, "--data", samples, *words, *kept)["file"]["criterion"] == name
    # The files that a device gets are enough to read what calibration has read.
    made, recorded = policy.load(out), traces.load(trace)
    assert made.bandit.name == "cascade"
    again = recorded.read_with(made.reader(out.parent))
    np.testing.assert_array_equal(again.confidence, recorded.confidence)
    np.testing.assert_array_equal(again.prediction, recorded.prediction)
    costs = ["--published", "lambda=0.1,offload=0.3", "--seeds", 1, "--policies", "cascade"]
    rows = run("replay", trace, "--policy", out, *costs)["rows"]
    played = next(row for row in rows if row["name"] == "cascade")
    assert played["accuracy"] > recorded.correct.mean(axis=0).min() - 0.1


def test_what_needs_arrays_can_be_trained() -> None:
    needed = {name for name in CRITERIA if WEIGHTS in CRITERIA.load(name).needs}
    assert needed <= set(TRAINERS) <= set(CRITERIA)


def test_the_documentation_has_a_line_for_every_criterion() -> None:
    page = Path(__file__).parents[2] / "docs" / "criteria.md"
    lines = [line.split("|") for line in page.read_text(encoding="utf-8").splitlines()]
    told = [cells[1].strip().strip("`") for cells in lines if len(cells) == 8]
    assert sorted(told[2:]) == sorted(CRITERIA)
