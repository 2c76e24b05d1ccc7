from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from partitioner.examples import BATCH, invented, read_examples
from split_core import bundle
from split_core.errors import DataError
from split_core.manifest import Cut, Manifest, Spec
from tests.tiny import LABELS, PREPROCESS, tiny_samples


@pytest.fixture(scope="module")
def manifest(tiny_bundle: Path) -> Manifest:
    return bundle.load(tiny_bundle).manifest


def taking(manifest: Manifest, *specs: Spec) -> Manifest:
    """`manifest` for a network without preprocessing that takes these tensors."""
    first = Cut(index=0, tensors=specs)
    return manifest.model_copy(update={"preprocess": None, "cuts": (first, *manifest.cuts[1:])})


def row(name: str = "x", dtype: str = "float32", *shape: int | str | None) -> Spec:
    return Spec(name=name, dtype=dtype, shape=shape or (None, 3))


def saved(folder: Path, **arrays: np.ndarray) -> Path:
    np.savez(folder / "samples.npz", **arrays)
    return folder / "samples.npz"


def test_images_come_in_batches_as_the_network_takes_them(tmp_path: Path, manifest: Manifest) -> None:
    images, labels = tiny_samples(20)
    examples = read_examples(saved(tmp_path, images=images, labels=labels), manifest, 500)
    batches = [batch[0] for batch in examples.batches()]
    assert [len(batch) for batch in batches] == [BATCH, BATCH, 4]
    np.testing.assert_array_equal(np.concatenate(batches), PREPROCESS.tensor(images))
    np.testing.assert_array_equal(examples.labels, labels)


def test_no_more_are_taken_than_asked_for(tmp_path: Path, manifest: Manifest) -> None:
    images, labels = tiny_samples(20)
    examples = read_examples(saved(tmp_path, images=images, labels=labels), manifest, 7)
    assert len(examples) == len(examples.labels) == 7
    part = examples.part(slice(2, 4))
    np.testing.assert_array_equal(part.items[0], images[2:4])
    np.testing.assert_array_equal(part.labels, labels[2:4])


def test_labels_may_be_unknown(tmp_path: Path, manifest: Manifest) -> None:
    assert read_examples(saved(tmp_path, images=tiny_samples(4)[0]), manifest, 9).labels is None


def test_a_network_of_several_inputs_is_fed_by_their_names(tmp_path: Path, manifest: Manifest) -> None:
    text = taking(manifest, row("ids", "int64", None, "sequence"), row("mask", "int64", None, "sequence"))
    ids = np.arange(30).reshape(6, 5)
    examples = read_examples(saved(tmp_path, mask=np.ones_like(ids), ids=ids), text, 4)
    [batch] = examples.batches()
    np.testing.assert_array_equal(batch[0], ids[:4])
    assert batch[1].all()


def test_inputs_of_different_lengths_are_refused(tmp_path: Path, manifest: Manifest) -> None:
    text = taking(manifest, row("ids", "int64", None, "sequence"), row("mask", "int64", None, "sequence"))
    path = saved(tmp_path, mask=np.ones((2, 4), np.int64), ids=np.ones((2, 5), np.int64))
    with pytest.raises(DataError, match="tensor 'mask': axis 'sequence' is 4 long here and 5 elsewhere"):
        read_examples(path, text, 4)


def test_a_network_with_a_fixed_batch_gets_one_sample_at_a_time(tmp_path: Path, manifest: Manifest) -> None:
    path = saved(tmp_path, inputs=np.zeros((3, 3), np.float32))
    fixed = read_examples(path, taking(manifest, row("x", "float32", 1, 3)), 9)
    assert [batch[0].shape for batch in fixed.batches()] == [(1, 3)] * 3


def test_a_folder_per_class_says_the_labels_and_a_loose_one_does_not(tmp_path: Path, manifest: Manifest) -> None:
    images, labels = tiny_samples(12)
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        for folder in (tmp_path / "sorted" / LABELS[label], tmp_path / "loose"):
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[:, :, 0]).save(folder / f"{number:02}.png")
    examples = read_examples(tmp_path / "sorted", manifest, 9)
    wanted = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    assert [wanted[image.tobytes()] for image in examples.items[0]] == list(examples.labels)
    loose = read_examples(tmp_path / "loose", manifest, 9)
    assert (len(loose), loose.labels) == (9, None)


def test_noise_is_told_from_samples_and_is_the_same_for_a_seed(manifest: Manifest) -> None:
    first, again, other = (invented(manifest, 5, seed) for seed in (1, 1, 2))
    assert not first.real
    assert first.items[0].shape == (5, 1, 8, 8)
    np.testing.assert_array_equal(first.items[0], again.items[0])
    assert not np.array_equal(first.items[0], other.items[0])


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"inputs": np.zeros((2, 4), np.float32)}, r"tensor 'x': expected float32 \(None, 3\), got float32 \(2, 4\)"),
        ({"inputs": np.zeros((2, 3))}, "got float64"),
        ({"inputs": np.zeros((0, 3), np.float32)}, "holds no samples"),
        ({"inputs": np.float32(1)}, "holds no samples"),
        ({"inputs": np.zeros((2, 3), np.float32), "labels": np.zeros(3, int)}, "expected as many of each"),
        ({"inputs": np.zeros((2, 3), np.float32), "labels": np.array([0, 9])}, r"labels must be 0\.\.3"),
        ({"other": np.zeros(2)}, "no array named 'inputs'"),
    ],
    ids=["shape", "dtype", "none", "scalar", "counts", "labels", "name"],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, manifest: Manifest, arrays: dict[str, np.ndarray], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        read_examples(saved(tmp_path, **arrays), taking(manifest, row()), 9)


def test_a_folder_for_a_network_without_images_is_refused(tmp_path: Path, manifest: Manifest) -> None:
    with pytest.raises(DataError, match="takes no images"):
        read_examples(tmp_path, taking(manifest, row()), 9)


def test_an_empty_folder_is_refused(tmp_path: Path, manifest: Manifest) -> None:
    with pytest.raises(DataError, match="no images"):
        read_examples(tmp_path, manifest, 9)
