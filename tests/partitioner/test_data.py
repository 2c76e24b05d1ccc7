from __future__ import annotations

import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from partitioner.data import read_samples, take_from_text
from split_core import bundle
from split_core.errors import ConfigError, DataError
from split_core.manifest import Manifest
from split_core.tokeniser import Tokeniser
from tests.tiny import LABELS, PREPROCESS, tiny_samples

ALL = slice(0, None)


@pytest.fixture(scope="module")
def manifest(tiny_bundle: Path) -> Manifest:
    return bundle.load(tiny_bundle).manifest


@pytest.fixture
def npz(tmp_path: Path) -> Callable[..., Path]:
    def write(**changed: Any) -> Path:
        images, labels = tiny_samples(20)
        arrays = {"images": images, "labels": labels, **changed}
        path = tmp_path / "samples.npz"
        np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
        return path

    return write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "samples"
    for number, (image, label) in enumerate(zip(*tiny_samples(24), strict=True)):
        file = root / LABELS[label] / f"{number:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[:, :, 0]).save(file)
    return root


def test_an_npz_gives_its_images_labels_and_inputs(npz: Callable[..., Path], manifest: Manifest) -> None:
    images, labels = tiny_samples(20)
    samples = read_samples(npz(), manifest, ALL)
    np.testing.assert_array_equal(samples.items, images)
    np.testing.assert_array_equal(samples.labels, labels)
    np.testing.assert_array_equal(samples.inputs(slice(2, 5))[0], PREPROCESS.tensor(images[2:5]))


def test_images_without_a_channel_axis_or_of_another_size_are_made_to_fit(
    npz: Callable[..., Path], manifest: Manifest
) -> None:
    images, _ = tiny_samples(20)
    flat = read_samples(npz(images=images[..., 0]), manifest, ALL)
    np.testing.assert_array_equal(flat.items, images)
    large = np.kron(images, np.ones((1, 2, 2, 1), np.uint8))
    colour = np.repeat(large, 3, axis=3)
    for given_images in (large, colour):
        assert read_samples(npz(images=given_images), manifest, ALL).items.shape == (20, 8, 8, 1)


def test_a_range_is_taken_from_the_file_s_order(npz: Callable[..., Path], manifest: Manifest) -> None:
    _, labels = tiny_samples(20)
    samples = read_samples(npz(), manifest, slice(5, 12))
    np.testing.assert_array_equal(samples.labels, labels[5:12])
    assert len(samples.first(3)) == 3


def test_ranges_of_one_file_never_share_a_sample(folder: Path, manifest: Manifest) -> None:
    halves = [read_samples(folder, manifest, taken).items for taken in (slice(0, 12), slice(12, 24))]
    seen = [{image.tobytes() for image in half} for half in halves]
    assert seen[0].isdisjoint(seen[1])
    assert len(seen[0] | seen[1]) == 24


def test_a_folder_gives_every_class_in_a_mixed_but_fixed_order(folder: Path, manifest: Manifest) -> None:
    samples = read_samples(folder, manifest, ALL)
    assert samples.items.shape == (24, 8, 8, 1)
    assert sorted(samples.labels) == sorted(tiny_samples(24)[1])
    assert list(samples.labels) != sorted(samples.labels)
    np.testing.assert_array_equal(samples.items, read_samples(folder, manifest, ALL).items)
    by_content = {image.tobytes(): label for image, label in zip(*tiny_samples(24), strict=True)}
    assert all(by_content[i.tobytes()] == label for i, label in zip(samples.items, samples.labels, strict=True))


def test_a_network_without_class_logits_takes_no_labelled_samples(npz: Callable[..., Path], manifest: Manifest) -> None:
    with pytest.raises(DataError, match="tiny: gives no class logits"):
        read_samples(npz(), manifest.model_copy(update={"labels": None, "heads": ()}), ALL)


@pytest.mark.parametrize("preprocess", [None, Tokeniser(tokeniser="org/name")])
def test_a_network_without_images_takes_inputs_as_they_are(
    npz: Callable[..., Path], manifest: Manifest, preprocess: Tokeniser | None
) -> None:
    plain = manifest.model_copy(update={"preprocess": preprocess})
    arrays = PREPROCESS.tensor(tiny_samples(20)[0])
    samples = read_samples(npz(inputs=arrays), plain, slice(0, 4))
    np.testing.assert_array_equal(samples.inputs(ALL)[0], arrays[:4])
    with pytest.raises(DataError, match=r"expected float32 \(None, 1, 8, 8\)"):
        read_samples(npz(inputs=arrays.astype(np.float64)), plain, ALL)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"images": None}, "no array named 'images', there are: labels"),
        ({"labels": None}, "no array named 'labels', there are: images"),
        ({"labels": np.zeros(19, np.int64)}, "expected as many of both"),
        ({"labels": np.zeros(20)}, "labels must be"),
        ({"labels": np.zeros((20, 1), np.int64)}, "labels must be"),
        ({"labels": np.full(20, 4)}, r"labels must be 0..3, got 4..4"),
        ({"labels": np.full(20, -1)}, r"labels must be 0..3, got -1..-1"),
        ({"images": np.zeros((20, 8, 8))}, "images must be uint8"),
        ({"images": np.zeros((20, 8, 8, 4), np.uint8)}, "images must be uint8"),
        ({"images": np.zeros((20, 64), np.uint8)}, "images must be uint8"),
        ({"images": np.uint8(3)}, "expected as many of both"),
        ({"images": np.zeros((0, 8, 8), np.uint8), "labels": np.zeros(0, np.int64)}, "with N > 0"),
        ({"labels": np.array([{}] * 20, object)}, "not a readable .npz"),
    ],
)
def test_an_npz_that_does_not_fit_is_refused(
    npz: Callable[..., Path], manifest: Manifest, changed: dict[str, Any], words: str
) -> None:
    path = npz(**changed)
    with pytest.raises(DataError, match=words) as refusal:
        read_samples(path, manifest, ALL)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_range_past_the_end_is_refused(npz: Callable[..., Path], folder: Path, manifest: Manifest) -> None:
    with pytest.raises(DataError, match="holds 20 samples, --take asks for number 21"):
        read_samples(npz(), manifest, slice(10, 21))
    with pytest.raises(DataError, match="holds 24 samples, --take asks for number 25"):
        read_samples(folder, manifest, slice(24, None))


def test_files_that_are_no_samples_are_refused(tmp_path: Path, manifest: Manifest) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        read_samples(tmp_path / "absent.npz", manifest, ALL)
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(DataError, match=r"not a readable .npz"):
        read_samples(tmp_path / "text.npz", manifest, ALL)
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(DataError, match="a single array"):
        read_samples(tmp_path / "one.npy", manifest, ALL)
    with zipfile.ZipFile(tmp_path / "empty.npz", "w"):
        pass
    with pytest.raises(DataError, match="there are: none"):
        read_samples(tmp_path / "empty.npz", manifest, ALL)


@given(cut=st.floats(0, 1), damage=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6))
def test_any_damaged_npz_gives_samples_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path, cut: float, damage: list[tuple[float, int]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    images, labels = tiny_samples(5)
    np.savez_compressed(path, images=images, labels=labels)
    data = bytearray(path.read_bytes())
    for place, byte in damage:
        data[int(place * (len(data) - 1))] = byte
    path.write_bytes(bytes(data[: int(len(data) * cut)] if cut < 0.5 else data))
    with suppress(DataError):
        assert len(read_samples(path, bundle.load(tiny_bundle).manifest, ALL)) == 5


def test_folders_that_are_no_samples_are_refused(folder: Path, tmp_path: Path, manifest: Manifest) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="no images; expected one folder per class"):
        read_samples(empty, manifest, ALL)
    (folder / LABELS[0] / "00broken.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="not a readable image"):
        read_samples(folder, manifest, ALL)
    (folder / "top lefft").mkdir()
    with pytest.raises(DataError, match="did you mean 'top left'"):
        read_samples(folder, manifest, ALL)
    with pytest.raises(DataError, match="takes no images"):
        read_samples(folder, manifest.model_copy(update={"preprocess": None}), ALL)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", slice(0, None)), ("0:5000", slice(0, 5000)), ("5000:", slice(5000, None)), (":7", slice(0, 7)), (":", ALL)],
)
def test_a_range_is_read_from_text(text: str, expected: slice) -> None:
    assert take_from_text(text) == expected


@pytest.mark.parametrize("text", ["5", "a:b", "-3:4", "4:4", "9:2", "1:2:3", "1.5:2", "٣:٤"])
def test_a_range_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--take"):
        take_from_text(text)
