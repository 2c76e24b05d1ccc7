"""A real text network, cut by the partitioner and served by a worker's core: two inputs, any length."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper, parser

from cloud_runtime.models import Model, load_model
from partitioner.build import Wish, partition
from partitioner.manifest import Identity
from partitioner.sources import read_network
from partitioner.verify import Trial
from split_core import wire
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.codecs import CODECS
from split_core.tensors import Array
from split_core.tokeniser import Tokeniser
from tests.cloud_runtime.test_sequences import play

WORDS, WIDTH, CLASSES = 20, 6, 3
GRAPH = """
<ir_version: 10, opset_import: ["": 18]>
text (int64[batch, sequence] ids, float[batch, sequence] mask) => (float[batch, 3] logits)
<float[20, 6] words, float[6, 6] mix, float[6, 3] head, int64[1] last, int64[1] middle>
{
    embedded = Gather(words, ids)
    mixed = MatMul(embedded, mix)
    active = Relu(mixed)
    weights = Unsqueeze(mask, last)
    weighted = Mul(active, weights)
    pooled = ReduceSum<keepdims = 0>(weighted, middle)
    logits = MatMul(pooled, head)
}
"""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    model = parser.parse_model(GRAPH)
    values = {
        "words": rng.normal(size=(WORDS, WIDTH)).astype(np.float32),
        "mix": rng.normal(size=(WIDTH, WIDTH)).astype(np.float32),
        "head": rng.normal(size=(WIDTH, CLASSES)).astype(np.float32),
        "last": np.array([2]),
        "middle": np.array([1]),
    }
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in values.items())
    path = tmp_path_factory.mktemp("text") / "text.onnx"
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def model(network: Path) -> Model:
    identity = Identity(name="text", labels=("a", "b", "c"), preprocess=Tokeniser(tokeniser="org/name", max_length=40))
    out = network.parent / "bundles"
    root = partition(
        read_network(str(network)), out, identity=identity, wish=Wish(cuts="2"), trial=Trial(), clock=time.time
    )
    return load_model(root, OnnxRuntimeBackend(), threads=1, engines=1)


def sentence(length: int, rows: int, seed: int) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, WORDS, (rows, length)), rng.integers(0, 2, (rows, length)).astype(np.float32)]


def test_sentences_of_all_lengths_get_the_whole_networks_answers(network: Path, model: Model) -> None:
    assert len(model.rehearse(time.perf_counter)) == model.exits == 3
    whole = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    raw = CODECS.load("raw")()
    asked = [
        sentence(length, rows, seed) for seed, (length, rows) in enumerate([(5, 1), (9, 2), (5, 3), (40, 1), (1, 1)])
    ]
    messages = [
        wire.Offload(number, model.id, 0, "raw", 5000.0, tuple(raw.encode(tensor) for tensor in tensors))
        for number, tensors in enumerate(asked)
    ]
    answers = {verdict.request_id: np.frombuffer(verdict.logits, np.float32) for verdict in play(model, messages)}
    for number, (ids, mask) in enumerate(asked):
        [expected] = whole.run(["logits"], {"ids": ids, "mask": mask})
        np.testing.assert_allclose(answers[number].reshape(-1, CLASSES), expected, rtol=1e-4, atol=1e-5)
