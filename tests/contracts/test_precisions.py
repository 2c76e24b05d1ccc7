"""Whatever `PRECISIONS` holds must do this."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper

from partitioner.chain import Chain
from partitioner.examples import Examples
from partitioner.precision import PRECISIONS, asked
from partitioner.precision.base import Conversion, Untouched
from partitioner.precision.convert import converted
from split_core import bundle
from split_core.backends import BACKENDS
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.bundle import Bundle
from tests.tiny import PREPROCESS, tiny_samples


@pytest.fixture(params=list(PRECISIONS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def conversion(name: str) -> Conversion:
    made: Conversion = PRECISIONS.load(name)()
    return made


@pytest.fixture
def plain(tiny_bundle: Path) -> Bundle:
    return bundle.load(tiny_bundle)


@pytest.fixture
def every(tiny_precisions: Path) -> Bundle:
    return bundle.load(tiny_precisions)


def samples() -> Examples:
    return Examples((tiny_samples(40, seed=9)[0],), None, PREPROCESS)


def reshape() -> ModelProto:
    """A piece with nothing to compute."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 4])
    row = helper.make_tensor_value_info("row", TensorProto.FLOAT, ["batch", 2, 2])
    shape = helper.make_tensor("shape", TensorProto.INT64, [3], [0, 2, 2])
    graph = helper.make_graph([helper.make_node("Reshape", ["image", "shape"], ["row"])], "r", [image], [row], [shape])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_it_is_asked_for_by_what_stands_before_the_dash(name: str) -> None:
    assert name in asked(name.partition("-")[0])


def test_it_says_which_backend_it_is_for(conversion: Conversion) -> None:
    assert conversion.backend in BACKENDS


def test_every_piece_takes_and_makes_what_it_did(name: str, every: Bundle) -> None:
    for piece, exported in zip(every.manifest.pieces(name), every.manifest.pieces(), strict=True):
        made, before = (onnx.load_model_from_string(every.content(item)) for item in (piece, exported))
        assert list(made.graph.input) == list(before.graph.input)
        assert list(made.graph.output) == list(before.graph.output)
        assert (made.ir_version, made.opset_import[0]) == (before.ir_version, before.opset_import[0])


def test_segments_are_converted(name: str, every: Bundle) -> None:
    files = [piece.file for piece in every.manifest.variant(name).segments]
    assert files == [f"precisions/{name}/{piece.file}" for piece in every.manifest.segments]


def test_any_number_of_samples_may_run_together(name: str, every: Bundle) -> None:
    chain = Chain(every, OnnxRuntimeBackend(), threads=1, precision=name)
    batch = PREPROCESS.tensor(tiny_samples(6)[0])
    together = chain.run([batch]).outputs[0]
    alone = np.concatenate([chain.run([batch[i : i + 1]]).outputs[0] for i in range(6)])
    np.testing.assert_allclose(together, alone, rtol=1e-3, atol=1e-3)


def test_answers_are_nearly_those_as_exported(name: str, every: Bundle) -> None:
    batch = PREPROCESS.tensor(tiny_samples(200, seed=11)[0])
    passages = [Chain(every, OnnxRuntimeBackend(), threads=1, precision=made).run([batch]) for made in ("", name)]
    for exported, made in zip(passages[0].logits, passages[1].logits, strict=True):
        assert np.mean(exported.argmax(1) == made.argmax(1)) > 0.9
        assert np.corrcoef(exported.ravel(), made.ravel())[0, 1] > 0.99
    assert not np.array_equal(passages[0].outputs[0], passages[1].outputs[0])


def test_the_same_samples_give_the_same_bytes(name: str, plain: Bundle) -> None:
    batches = list(samples().batches())
    first, second = (converted(plain, [name], batches) for _ in range(2))
    assert first.contents == second.contents
    assert first.manifest.id == second.manifest.id != plain.id


def test_the_piece_that_it_is_given_stays_as_it_is(name: str, plain: Bundle, conversion: Conversion) -> None:
    content = plain.content(plain.manifest.segments[0])
    model = onnx.load_model_from_string(content)
    conversion.convert(model, [{"image": batch[0]} for batch in samples().batches()])
    assert model.SerializeToString(deterministic=True) == content


def test_a_piece_with_nothing_to_convert_stays_as_exported(conversion: Conversion) -> None:
    with pytest.raises(Untouched, match=r"^it has no "):
        conversion.convert(reshape(), [{"image": np.ones((1, 4), np.float32)}])


def test_nothing_is_said_on_the_terminal(
    name: str, plain: Bundle, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    converted(plain, [name], list(samples().batches()))
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []
