from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, numpy_helper

from partitioner.build import Wish, certify, partition
from partitioner.examples import Examples
from partitioner.importers.onnx import network_of
from partitioner.manifest import Identity, NetworkFile
from partitioner.precision import asked
from partitioner.precision.measure import broken
from partitioner.precision.rounding import Rounded, Rounding, judged
from partitioner.sources import read_network
from partitioner.verify import Trial
from split_core import bundle
from split_core.bundle import Bundle, Manifest
from split_core.config import load
from split_core.errors import BundleError, CertificateError, ConfigError, DataError, ModelError
from split_core.files import sha256_of
from tests.partitioner.precision.networks import attention, late, skipping
from tests.tiny import IDENTITY, PREPROCESS, tiny_samples

DEMO = Path(__file__).parents[3] / "configs" / "demo"


def ticking() -> Callable[[], float]:
    """A clock that is a millisecond later whenever it is looked at."""
    now = iter(range(10**9))
    return lambda: next(now) / 1e3


@pytest.fixture
def write(tiny_model_path: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """The tiny network's bundle with precisions; its certificate."""

    def partitioned(*names: str, samples: Path | None = None) -> dict[str, Any]:
        root = partition(
            read_network(str(tiny_model_path)),
            tmp_path / "out",
            identity=IDENTITY,
            wish=Wish(),
            trial=Trial(),
            clock=ticking(),
            rounding=Rounding(names, samples),
        )
        return bundle.load(root).certificate

    return partitioned


def saved(folder: Path, count: int, **changed: Any) -> Path:
    images, labels = tiny_samples(count, seed=6)
    arrays = {"images": images, "labels": labels, **changed}
    np.savez(folder / "samples.npz", **{name: array for name, array in arrays.items() if array is not None})
    return folder / "samples.npz"


def test_the_demo_network_keeps_its_answers_in_8_bits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = partition(
        read_network(str(DEMO / "network.onnx")),
        tmp_path,
        identity=Identity(name="demo", preprocess=load(DEMO / "network.yaml", NetworkFile).settled(DEMO)),
        wish=Wish(),
        trial=Trial(),
        clock=ticking(),
        rounding=Rounding((*asked("int8"), *asked("fp16")), DEMO / "fashion-mnist-test.npz"),
    )
    entries = bundle.load(root).certificate["precisions"]
    for name, entry in entries.items():
        for item in entry["exits"]:
            print(name, item["exit"], *(f"{item[key]:.4f}" for key in ("label_agreement", "accuracy")))
            assert item["label_agreement"] > 0.96
            assert abs(item["accuracy"] - item["accuracy_exported"]) < 0.02
            assert item["cosine"] > 0.998
    assert entries["int8"]["bytes"] < 0.3 * entries["int8"]["bytes_exported"]
    assert entries["fp16"]["bytes"] < 0.6 * entries["fp16"]["bytes_exported"]
    # Weights stay in float32 beside their scales; the engine makes them 8 bits.
    assert entries["int8-tensorrt"]["bytes"] > entries["int8"]["bytes_exported"]


def test_samples_that_calibrate_do_not_measure(write: Any, tmp_path: Path) -> None:
    entry = write("int8", samples=saved(tmp_path, 100))["precisions"]["int8"]
    assert (entry["calibration_samples"], entry["samples"], entry["measured_apart"]) == (25, 75, True)


def test_a_handful_of_samples_does_both_and_the_certificate_says_so(write: Any, tmp_path: Path) -> None:
    entry = write("int8", samples=saved(tmp_path, 5))["precisions"]["int8"]
    assert (entry["calibration_samples"], entry["samples"], entry["measured_apart"]) == (5, 5, False)


def test_samples_without_labels_tell_agreement_and_no_accuracy(write: Any, tmp_path: Path) -> None:
    exits = write("int8", samples=saved(tmp_path, 100, labels=None))["precisions"]["int8"]["exits"]
    assert all(item["label_agreement"] > 0.9 and item["accuracy"] is None for item in exits)


def test_accuracy_is_that_of_the_labels(write: Any, tmp_path: Path) -> None:
    right = write("int8", samples=saved(tmp_path, 200))["precisions"]["int8"]["exits"]
    _, labels = tiny_samples(200, seed=6)
    wrong = write("int8", samples=saved(tmp_path, 200, labels=(labels + 1) % 4))["precisions"]["int8"]["exits"]
    assert right[2]["accuracy_exported"] > 0.75
    assert wrong[2]["accuracy_exported"] < 0.2


def test_fp16_needs_no_samples_and_is_measured_on_noise(write: Any) -> None:
    entry = write("fp16")["precisions"]["fp16"]
    assert (entry["samples"], entry["real_samples"], entry["calibration_samples"]) == (16, False, 0)
    assert (entry["for_backend"], entry["measured_with"], entry["engine_run"]) == ("tensorrt", "onnxruntime", False)


def test_cuts_time_and_pieces_that_stay_are_in_the_certificate(write: Any, tmp_path: Path) -> None:
    entry = write("int8", samples=saved(tmp_path, 40))["precisions"]["int8"]
    assert [cut["cut"] for cut in entry["cuts"]] == [1, 2]
    assert all(0 < cut["max_difference"] < 0.5 and cut["cosine"] > 0.99 for cut in entry["cuts"])
    assert entry["median_ms"] == entry["median_ms_exported"] == 1.0
    assert entry["kept_as_exported"] == ["heads/exit_1.onnx", "heads/exit_2.onnx"]


def test_8_bits_without_samples_are_refused(write: Any) -> None:
    with pytest.raises(ConfigError, match="precision 'int8' needs samples"):
        write("int8")


def test_an_unknown_precision_is_refused_with_the_nearest(write: Any) -> None:
    with pytest.raises(ConfigError, match=r"no precision named 'int9'; did you mean 'int8'\?"):
        write("int9")


def test_samples_of_another_network_are_refused(write: Any, tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", inputs=np.zeros((9, 3), np.float32))
    with pytest.raises(DataError, match="no array named 'images'"):
        write("int8", samples=tmp_path / "other.npz")


def test_certifying_again_measures_precisions_again(
    tiny_precisions: Path, tiny_model_path: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(tiny_precisions, tmp_path / "copy"))
    before, network = bundle.load(root), read_network(str(tiny_model_path))
    images, labels = tiny_samples(30, seed=8)
    certify(root, network, Trial(samples=[PREPROCESS.tensor(images)], labels=labels), ticking())
    again = bundle.load(root)
    assert again.id == before.id
    assert list(again.certificate["precisions"]) == list(before.certificate["precisions"])
    assert {entry["samples"] for entry in again.certificate["precisions"].values()} == {30}
    assert all(item["accuracy"] is not None for item in again.certificate["precisions"]["int8"]["exits"])
    certify(root, network, Trial(), ticking())
    assert not bundle.load(root).certificate["precisions"]["int8"]["real_samples"]


def rows(folder: Path, *shape: int) -> Path:
    rng = np.random.default_rng(1)
    np.savez(folder / "rows.npz", inputs=rng.standard_normal(shape).astype(np.float32))
    return folder / "rows.npz"


def partitioned(model: ModelProto, cut: tuple[str, ...], folder: Path, samples: Path, width: str = "int8") -> Bundle:
    imported = network_of(model, {"file": "network.onnx", "sha256": "0" * 64}, {})
    root = partition(
        replace(imported, cuts=(cut,)),
        folder / "out",
        identity=Identity(name="other"),
        wish=Wish(),
        trial=Trial(),
        clock=ticking(),
        rounding=Rounding(asked(width), samples),
    )
    return bundle.load(root)


def test_a_piece_with_nothing_to_quantise_is_shared_and_noted(tmp_path: Path) -> None:
    made = partitioned(late(), ("s",), tmp_path, rows(tmp_path, 40, 16))
    assert made.manifest.variant("int8").segments[0] == made.manifest.segments[0]
    assert made.manifest.variant("int8").segments[1].file == "precisions/int8/segments/segment_2.onnx"
    note = "int8: segments/segment_1.onnx stays as exported: it has no convolution and no matrix product"
    assert note in made.certificate["notes"]
    assert "segments/segment_1.onnx" in made.certificate["precisions"]["int8"]["kept_as_exported"]


def test_a_network_that_names_no_classes_is_measured_by_its_output(tmp_path: Path) -> None:
    made = partitioned(attention(), ("n", "x"), tmp_path, rows(tmp_path, 40, 8, 6))
    entry = made.certificate["precisions"]["int8"]
    assert (entry["exits"], [item["tensor"] for item in entry["outputs"]]) == ([], ["y"])
    assert entry["outputs"][0]["cosine"] > 0.99


@pytest.mark.parametrize("width", ["int8", "fp16"])
def test_what_passes_through_a_piece_still_does(tmp_path: Path, width: str) -> None:
    made = partitioned(skipping(), ("x", "r"), tmp_path, rows(tmp_path, 40, 3, 8, 8), width)
    for name in asked(width):
        first = made.manifest.variant(name).segments[0]
        assert (first.inputs, first.outputs) == (("x",), ("x", "r"))
        assert first.file == f"precisions/{name}/segments/segment_1.onnx"
        assert made.certificate["precisions"][name]["outputs"][0]["cosine"] > 0.99


def test_a_network_with_nothing_to_convert_is_refused(tmp_path: Path) -> None:
    model = late()
    model.graph.node[2].CopyFrom(onnx.helper.make_node("Tanh", ["t"], ["y"]))
    del model.graph.initializer[:]
    model.graph.output[0].type.tensor_type.ClearField("shape")
    with pytest.raises(
        ModelError, match=r"precision 'int8': no piece can be converted; segments/segment_1\.onnx: it has"
    ):
        partitioned(onnx.shape_inference.infer_shapes(model), ("s",), tmp_path, rows(tmp_path, 9, 16))


def with_weights(whole: Bundle, factor: float) -> Bundle:
    """`whole` with a precision "int8" whose last segment has other weights."""
    piece, rng = whole.manifest.segments[-1], np.random.default_rng(0)
    model = onnx.load_model_from_string(whole.content(piece))
    for item in model.graph.initializer:
        array = numpy_helper.to_array(item)
        if array.dtype == np.float32:
            item.CopyFrom(numpy_helper.from_array((factor * rng.standard_normal(array.shape)).astype("f"), item.name))
    content = model.SerializeToString(deterministic=True)
    other = piece.model_copy(update={"file": "other.onnx", "sha256": sha256_of(content), "bytes": len(content)})
    fields = {name: getattr(whole.manifest, name) for name in Manifest.model_fields}
    variant = whole.manifest.variant().model_copy(update={"segments": (*whole.manifest.segments[:-1], other)})
    contents = {item.file: whole.content(item) for item in whole.manifest.pieces()}
    return Bundle(
        whole.root, Manifest(**{**fields, "precisions": {"int8": variant}}), {}, {**contents, "other.onnx": content}
    )


@pytest.mark.parametrize(
    ("factor", "words"),
    [(1.0, r"labels of exit 3 agree with those as exported on \d+% of 80 samples"), (float("nan"), "not a number")],
)
def test_a_broken_precision_is_refused(tiny_bundle: Path, factor: float, words: str) -> None:
    images, labels = tiny_samples(80)
    made = with_weights(bundle.load(tiny_bundle), factor)
    examples = Rounded(made.manifest, {}, Examples((images,), labels, PREPROCESS), {})
    with pytest.raises(CertificateError, match=rf"precision 'int8' is broken, nothing was written: .*{words}"):
        judged(made, examples, ticking())


def entry(**changed: Any) -> dict[str, Any]:
    item = {"exit": 1, "max_difference": 0.1, "cosine": 0.95, "label_agreement": 0.9, **changed}
    return {"exits": [item], "outputs": [], "samples": 10, "real_samples": changed.get("real", True)}


@pytest.mark.parametrize(
    ("changed", "is_broken"),
    [
        ({}, False),
        ({"label_agreement": 0.4}, False),
        ({"label_agreement": 0.4, "cosine": 0.8}, True),
        ({"label_agreement": 0.6, "cosine": 0.8}, False),
        ({"cosine": None}, True),
        ({"max_difference": None}, True),
        ({"label_agreement": None, "cosine": 0.6}, False),
        ({"label_agreement": None, "cosine": 0.4}, True),
        ({"label_agreement": 0.1, "cosine": 0.6, "real": False}, False),
        ({"label_agreement": 0.9, "cosine": 0.4, "real": False}, True),
    ],
)
def test_what_counts_as_broken(changed: dict[str, Any], is_broken: bool) -> None:
    assert (broken(entry(**changed)) is not None) is is_broken


def test_a_disk_that_refuses_leaves_nothing(write: Any, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file where the folder should be")
    with pytest.raises(BundleError, match="cannot be written"):
        write("fp16")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
