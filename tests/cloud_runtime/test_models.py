from __future__ import annotations

import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from cloud_runtime.models import Model, bundle_folders, known_codecs, load_model
from split_core import wire
from split_core.backends.base import Session
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.codecs import CODECS
from split_core.codecs.base import Encoded
from split_core.errors import BundleError, CodecError, ConfigError, WireError
from split_core.manifest import FORMAT, Manifest
from split_core.tensors import Array
from tests.cloud_runtime.desk import hidden, image, offload, tiny
from tests.tiny import EXITS, PREPROCESS, tiny_samples


@pytest.fixture(scope="module")
def model(tiny_bundle: Path) -> Model:
    return tiny(tiny_bundle)


def refused(model: Model, message: wire.Offload) -> str:
    with pytest.raises(WireError) as caught:
        model.rows_of(message)
    return str(caught.value)


@pytest.mark.parametrize("cut", range(EXITS))
def test_every_cut_may_be_entered(model: Model, cut: int) -> None:
    message = offload(model, 1, cut=cut)
    assert model.rows_of(message) == 1
    tensors: list[Array] = list(model.decode(message))
    for segment in range(cut + 1, EXITS + 1):
        tensors = model.run(segment, tensors, 0)
    assert tensors[0].shape == (1, 4)


def test_an_image_gives_what_the_whole_network_gives(model: Model, tiny_model_path: Path) -> None:
    picture = tiny_samples(1, seed=5)[0][0]
    encoded = CODECS.load("png")().encode(picture)
    tensors: list[Array] = list(model.decode(wire.Offload(1, model.id, 0, "png", 9.0, (encoded,))))
    for segment in range(1, EXITS + 1):
        tensors = model.run(segment, tensors, 0)
    whole = onnxruntime.InferenceSession(tiny_model_path, providers=["CPUExecutionProvider"])
    [expected] = whole.run(["exit_3"], {"image": PREPROCESS.tensor(picture)})
    np.testing.assert_allclose(tensors[0], expected, rtol=1e-4, atol=1e-5)


def test_rows_are_counted_without_decoding(model: Model) -> None:
    message = replace(offload(model, 1, rows=5), tensors=(replace(hidden(2, 5)[0], data=b"nonsense"),))
    assert model.rows_of(message) == 5


@pytest.mark.parametrize("cut", [EXITS, 99])
def test_a_cut_that_is_not_there_is_refused(model: Model, cut: int) -> None:
    assert f"cut {cut} is none of 0..2" in refused(model, replace(offload(model, 1), cut=cut))


def test_an_unknown_codec_is_refused_with_the_list(model: Model) -> None:
    assert "there are: raw," in refused(model, replace(offload(model, 1), codec="morse"))


def test_codecs_go_where_their_kind_goes(model: Model) -> None:
    assert "takes input codecs" in refused(model, replace(offload(model, 1, cut=0), codec="raw"))
    assert "takes hidden codecs" in refused(model, replace(offload(model, 1, cut=2), codec="png"))


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [
        ("float16", (1, 6, 4, 4)),
        ("float32", (1, 6, 4, 5)),
        ("float32", (6, 4, 4)),
        ("float32", (1, 1, 6, 4, 4)),
        ("float32", ()),
    ],
)
def test_a_tensor_that_does_not_fit_the_cut_is_refused(model: Model, dtype: str, shape: tuple[int, ...]) -> None:
    message = replace(offload(model, 1), tensors=(Encoded(dtype, shape, (), b""),))
    assert "expected float32 (None, 6, 4, 4)" in refused(model, message)


def test_an_image_of_another_size_is_refused(model: Model) -> None:
    message = replace(offload(model, 1, cut=0), tensors=(replace(image()[0], shape=(80, 8, 1)),))
    assert "expected uint8 (8, 8, 1), got uint8 (80, 8, 1)" in refused(model, message)


@pytest.mark.parametrize("count", [2, 3])
def test_another_number_of_tensors_is_refused(model: Model, count: int) -> None:
    assert f"got {count}" in refused(model, replace(offload(model, 1), tensors=hidden(2) * count))


def test_a_payload_that_is_not_what_it_says_is_a_codec_error(model: Model) -> None:
    message = replace(offload(model, 1), tensors=(replace(hidden(2)[0], data=b"short"),))
    with pytest.raises(CodecError):
        model.decode(message)


def transformer(mask_batch: int | None) -> Model:
    """Cuts that carry a hidden state and a mask, which may or may not have a batch axis."""
    piece = {"file": "x", "sha256": "0" * 64, "bytes": 0}
    mask = {"name": "mask", "dtype": "bool", "shape": [mask_batch, 1, 5]}
    names = ["hidden", "mask"]
    manifest = Manifest.model_validate(
        {
            "format": FORMAT, "outputs": [{"name": "logits", "dtype": "float32", "shape": [None, 2]}],
            "name": "t", "version": "1", "labels": ["a", "b"], "heads": [{**piece, "inputs": ["hidden"], "outputs": ["e"]}],
            "cuts": [
                {"index": k, "tensors": [{"name": "hidden", "dtype": "float32", "shape": [None, 5, 3]}, mask]} for k in (0, 1)
            ],
            "segments": [{**piece, "inputs": names, "outputs": names}, {**piece, "inputs": names, "outputs": ["logits"]}],
        }
    )  # fmt: skip
    return Model(manifest, [], known_codecs())


def two_tensors(model: Model, hidden_rows: int, mask_rows: int) -> wire.Offload:
    raw = CODECS.load("raw")()
    tensors = (raw.encode(np.zeros((hidden_rows, 5, 3), np.float32)), raw.encode(np.zeros((mask_rows, 1, 5), bool)))
    return wire.Offload(1, model.id, 1, "raw", 9.0, tensors)


def test_tensors_of_one_request_have_the_same_rows() -> None:
    model = transformer(mask_batch=None)
    assert model.rows_of(two_tensors(model, 3, 3)) == 3
    assert "have [2, 3] rows" in refused(model, two_tensors(model, 2, 3))
    assert model.joins(2)


def test_a_tensor_without_batch_axis_keeps_requests_apart() -> None:
    model = transformer(mask_batch=1)
    assert model.rows_of(two_tensors(model, 3, 1)) == 3
    assert not model.joins(2)


def test_a_network_that_takes_no_image_is_entered_with_its_input() -> None:
    model = transformer(mask_batch=None)
    assert model.rows_of(replace(two_tensors(model, 1, 1), cut=0)) == 1


def test_a_rehearsal_times_every_segment(model: Model) -> None:
    ticks = itertools.count()
    assert model.rehearse(lambda: float(next(ticks))) == [1.0] * EXITS


class WrongSession:
    """A backend's session that makes less than it should."""

    inputs, outputs = ("image",), ("hidden_1",)

    def run(self, feeds: list[Array]) -> list[Array]:
        return [np.zeros((1, 4, 8, 7), np.float32)]


def test_a_rehearsal_finds_a_segment_that_makes_something_else(model: Model) -> None:
    wrong: list[Session] = [WrongSession()]  # type: ignore[list-item]
    broken = Model.__new__(Model)
    broken.__dict__.update(model.__dict__, _sessions=[wrong * EXITS])
    with pytest.raises(BundleError, match=r"segment 1 makes something else.*got float32 \(1, 4, 8, 7\)"):
        broken.rehearse(lambda: 0.0)


def test_a_shared_session_is_loaded_once_for_all_engines(tiny_bundle: Path) -> None:
    many = load_model(tiny_bundle, OnnxRuntimeBackend(), threads=1, engines=3)
    batch = [np.zeros((1, 1, 8, 8), np.float32)]
    outputs = [many.run(1, batch, engine)[0] for engine in range(3)]
    np.testing.assert_array_equal(outputs[0], outputs[2])


def test_bundles_are_found_in_place_and_below_a_root(tiny_bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_bundle, tmp_path / "root" / "tiny" / "1")
    shutil.copytree(tiny_bundle, tmp_path / "root" / "tiny" / "2")
    assert bundle_folders([tiny_bundle]) == [tiny_bundle]
    assert bundle_folders([tmp_path / "root"]) == [tmp_path / "root" / "tiny" / "1", tmp_path / "root" / "tiny" / "2"]


def test_a_folder_without_bundles_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no bundle and holds none"):
        bundle_folders([tmp_path])
