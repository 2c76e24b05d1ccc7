"""What a worker does with token ids: it needs no tokeniser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tokenizers")

from cloud_runtime.models import Model, load_model
from split_core import bundle as bundles
from split_core import wire
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.codecs import CODECS
from split_core.errors import WireError
from split_core.tensors import Array
from tests.cloud_runtime.test_sequences import play
from tests.text_world import MAX_LENGTH, lines, text_bundle


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_bundle(tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="module")
def model(root: Path) -> Model:
    return load_model(root, OnnxRuntimeBackend(), threads=1, engines=1)


def offload(model: Model, number: int, codec: str, tensors: list[Array], cut: int = 0) -> wire.Offload:
    packed = tuple(CODECS.load(codec)().encode(tensor) for tensor in tensors)
    return wire.Offload(number, model.id, cut, codec, 5000.0, packed)


def test_ids_alone_get_the_answers_of_ids_and_mask(root: Path, model: Model) -> None:
    model.rehearse(iter(range(1000)).__next__)
    intake = bundles.load(root).intake()
    assert intake is not None
    asked = [intake.canonical(text) for text, _ in lines(12)]
    as_ids = [offload(model, number, "tokens", [ids]) for number, ids in enumerate(asked)]
    as_tensors = [offload(model, 100 + number, "rawz", intake.tensors(ids)) for number, ids in enumerate(asked)]
    answers = {verdict.request_id: verdict.logits for verdict in play(model, [*as_ids, *as_tensors])}
    for number, (_, label) in enumerate(lines(12)):
        ours, theirs = (np.frombuffer(answers[place], np.float32) for place in (number, 100 + number))
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
        assert int(ours.argmax()) == label


def test_more_tokens_than_the_manifest_allows_are_refused(model: Model) -> None:
    ids = np.full((1, MAX_LENGTH + 1), 4)
    with pytest.raises(WireError, match=f"13 long, at most {MAX_LENGTH}"):
        model.rows_of(offload(model, 1, "tokens", [ids]))


def test_ids_are_for_cut_0_only(model: Model) -> None:
    with pytest.raises(WireError, match="cut 1 takes hidden codecs, 'tokens' is one for input"):
        model.rows_of(offload(model, 1, "tokens", [np.ones((1, 4), np.int64)], cut=1))
