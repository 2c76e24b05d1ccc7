from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from partitioner.build import Wish, partition
from partitioner.chain import Chain
from partitioner.manifest import Identity
from partitioner.sources import read_network
from partitioner.verify import Trial
from split_core import bundle
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.errors import ConfigError, ModelError
from split_core.preprocess import Preprocess
from tests.tiny import EXITS, IDENTITY, LABELS, PREPROCESS, tiny_model, tiny_samples


@dataclass
class Job:
    """Arguments of `partition`, some of them changed."""

    model: Path
    out: Path
    changed: dict[str, Any] = field(default_factory=dict)

    def run(self, **changed: Any) -> Path:
        arguments = {"identity": IDENTITY, "wish": Wish(), "trial": Trial(), "clock": lambda: 0.0}
        return partition(read_network(str(self.model)), self.out, **{**arguments, **changed})


@pytest.fixture
def job(tiny_model_path: Path, tmp_path: Path) -> Job:
    return Job(tiny_model_path, tmp_path / "bundles")


def test_the_tiny_bundle_loads_and_its_exits_get_better_with_depth(tiny_bundle: Path) -> None:
    loaded = bundle.load(tiny_bundle)
    images, labels = tiny_samples(500)
    passage = Chain(loaded, OnnxRuntimeBackend(), threads=1).run([PREPROCESS.tensor(images)])
    right = [float(np.mean(logits.argmax(1) == labels)) for logits in passage.logits]
    assert loaded.manifest.labels == LABELS
    assert loaded.manifest.exits == EXITS
    assert 0.5 < right[0] < right[1] < right[2]


def test_finishing_from_any_cut_gives_the_final_logits(tiny_bundle: Path) -> None:
    loaded = bundle.load(tiny_bundle)
    chain = Chain(loaded, OnnxRuntimeBackend(), threads=1)
    passage = chain.run([PREPROCESS.tensor(tiny_samples(5)[0])])
    for cut, tensors in enumerate(passage.cuts):
        np.testing.assert_array_equal(chain.finish(cut, tensors), passage.logits[-1])


def test_the_same_network_gives_the_same_bundle(job: Job) -> None:
    first = bundle.load(job.run())
    second = bundle.load(job.run(trial=Trial(seed=5), clock=lambda: 1e9))
    assert first.id == second.id
    assert first.certificate["seed"] != second.certificate["seed"]


def test_the_pieces_together_hold_hardly_more_than_the_network(job: Job) -> None:
    loaded = bundle.load(job.run())
    whole = job.model.stat().st_size
    assert sum(piece.bytes for piece in loaded.manifest.pieces()) < 2 * whole


def test_labels_default_to_numbers(job: Job) -> None:
    root = job.run(identity=Identity(name="tiny", version="2.0"))
    assert root == job.out / "tiny" / "2.0"
    assert bundle.load(root).manifest.labels == ("0", "1", "2", "3")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"labels": ("a", "b")}, "the network has 4 classes, got 2 names"),
        ({"name": "../escape"}, "name: expected text of the form"),
        ({"version": ""}, "version: expected text of the form"),
        ({"preprocess": Preprocess(height=9, width=8, colour="gray")}, r"makes float32 \(1, 9, 8\) images"),
        ({"preprocess": Preprocess(height=8, width=8, colour="rgb")}, r"the network takes image float32 \(1, 8, 8\)"),
    ],
)
def test_what_does_not_fit_the_network_is_refused_and_nothing_is_written(
    job: Job, changed: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        job.run(identity=IDENTITY.model_copy(update=changed))
    assert not job.out.exists()


SKIP = """
<ir_version: 10, opset_import: ["": 18]>
skip (float[batch, 3] x) => (float[batch, 3] hidden_1, float[batch, 3] exit_1, float[batch, 3] exit_2) {
    early = Relu(x)
    hidden_1 = Tanh(early)
    exit_1 = Identity(hidden_1)
    exit_2 = Add(early, hidden_1)
}
"""


def test_a_hidden_output_that_is_no_cut_is_refused_and_nothing_is_written(job: Job, tmp_path: Path) -> None:
    job.model = tmp_path / "skip.onnx"
    job.model.write_bytes(onnx.parser.parse_model(SKIP).SerializeToString())
    with pytest.raises(ModelError, match="cut hidden_1: early would cross too"):
        job.run()
    assert not job.out.exists()


def test_exits_with_different_numbers_of_classes_are_refused(job: Job, tmp_path: Path) -> None:
    model = tiny_model()
    for node in model.graph.node:
        if node.output[0] == "exit_1":
            node.CopyFrom(type(node)(op_type="Relu", input=["flat_1"], output=["exit_1"]))
    model.graph.output[2].type.tensor_type.shape.dim[1].dim_value = 16
    path = tmp_path / "wide.onnx"
    path.write_bytes(model.SerializeToString())
    job.model = path
    with pytest.raises(ModelError, match=r"exit 'exit_1'.*got \(16,\)"):
        job.run()
