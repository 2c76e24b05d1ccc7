from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from split_core import wire
from split_core.codecs import CODECS
from split_core.config import first_error
from split_core.errors import DataError
from split_core.preprocess import AnyPreprocess, Preprocess, read_image
from split_core.tokeniser import Tokeniser

LOSSLESS = ["pixels", "png"]
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}

sides = st.integers(1, 40)
resizes = st.one_of(
    st.builds(dict, resize=st.sampled_from(["exact", "letterbox", "none"])),
    st.builds(dict, resize=st.just("exact"), resize_to=st.tuples(sides, sides)),
    st.builds(dict, resize=st.just("shortest"), resize_to=sides),
)
preprocesses = st.builds(
    lambda resize, **fields: Preprocess(**resize, **fields),
    resizes,
    height=sides,
    width=sides,
    colour=st.sampled_from(["gray", "rgb", "bgr"]),
    resample=st.sampled_from(["nearest", "box", "bilinear", "bicubic", "lanczos"]),
    align=st.sampled_from(["centre", "corner"]),
    fill=st.integers(0, 255),
    layout=st.sampled_from(["nchw", "nhwc"]),
    scale=st.sampled_from([1 / 255, 1.0, 1 / 127.5]),
    mean=st.just((0.25,)),
    std=st.just((0.5,)),
)


def picture(height: int, width: int, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


@given(preprocesses, st.integers(1, 60), st.integers(1, 60), st.sampled_from([1, 3]))
def test_any_picture_gets_the_canonical_shape_and_stays_as_it_is_the_second_time(
    how: Preprocess, height: int, width: int, channels: int
) -> None:
    image = how.canonical(picture(height, width, channels))
    assert (image.dtype, image.shape) == (np.uint8, how.image_shape)
    np.testing.assert_array_equal(how.canonical(image), image)
    tensor = how.tensor(image)
    assert (tensor.dtype, tensor.shape) == (np.float32, (1, *how.row_shape))
    assert tensor.flags.c_contiguous


@settings(max_examples=20)
@given(preprocesses, st.integers(1, 3), st.integers(1000, 20_000), st.booleans())
def test_strips_of_any_length_get_the_canonical_shape(how: Preprocess, short: int, long: int, upright: bool) -> None:
    size = (long, short) if upright else (short, long)
    assert how.canonical(picture(*size)).shape == how.image_shape


def test_a_long_strip_is_not_enlarged_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    enlarged: list[tuple[int, int]] = []
    resize = Image.Image.resize

    def seen(image: Image.Image, size: tuple[int, int], *args: Any) -> Image.Image:
        enlarged.append(size)
        return resize(image, size, *args)

    monkeypatch.setattr(Image.Image, "resize", seen)
    how = Preprocess(height=224, width=224, resize="shortest", resize_to=256)
    how.canonical(picture(1, 10_000))
    [(width, height)] = enlarged
    assert height == 256
    assert width <= 20 * 256


@pytest.mark.parametrize("codec_name", LOSSLESS)
@settings(max_examples=25)
@given(preprocesses, st.integers(1, 60), st.integers(1, 60), st.sampled_from([1, 3]))
def test_a_worker_feeds_segment_1_what_the_device_would_have_fed_it(
    codec_name: str, how: Preprocess, height: int, width: int, channels: int
) -> None:
    image = how.canonical(picture(height, width, channels))
    codec = CODECS.load(codec_name)()
    offload = wire.Offload(1, "0" * 64, 0, codec_name, 9.0, (codec.encode(image),))
    arrived = wire.decode([bytes(frame) for frame in wire.encode(offload)])
    assert isinstance(arrived, wire.Offload)
    on_the_worker = how.tensor(codec.decode(arrived.tensors[0]))
    assert on_the_worker.tobytes() == how.tensor(image).tobytes()


def test_shortest_keeps_the_aspect_and_crops_the_centre() -> None:
    ramp = np.tile(np.arange(0, 200, 2, dtype=np.uint8), (50, 1))[..., None]  # brightness is the column
    how = Preprocess(height=40, width=40, colour="gray", resize="shortest", resize_to=50)
    np.testing.assert_array_equal(how.canonical(ramp), ramp[5:45, 30:70])


def test_exact_to_a_larger_size_crops_the_margin() -> None:
    pixels = picture(20, 30)
    how = Preprocess(height=16, width=20, resize_to=(20, 30))
    np.testing.assert_array_equal(how.canonical(pixels), pixels[2:18, 5:25])


@pytest.mark.parametrize(("align", "top"), [("centre", 3), ("corner", 0)])
def test_a_letterbox_fills_around_the_whole_picture(align: str, top: int) -> None:
    pixels = picture(5, 10)
    how = Preprocess(height=10, width=10, resize="letterbox", align=align, fill=114)
    image = how.canonical(pixels)
    np.testing.assert_array_equal(image[top : top + 5], pixels)
    assert (np.delete(image, np.s_[top : top + 5], axis=0) == 114).all()


def test_a_letterbox_enlarges_until_one_side_is_full() -> None:
    how = Preprocess(height=30, width=60, resize="letterbox", resample="nearest", align="corner", fill=7)
    image = how.canonical(np.full((10, 5, 3), 200, np.uint8))
    assert (image[:, :15] == 200).all()
    assert (image[:, 15:] == 7).all()


def test_none_cuts_and_fills_without_resizing() -> None:
    pixels = picture(7, 4)
    image = Preprocess(height=5, width=6, resize="none").canonical(pixels)
    np.testing.assert_array_equal(image[:, 1:5], pixels[1:6])
    assert not image[:, [0, 5]].any()


def test_the_tensor_is_scaled_pixels_less_mean_over_std() -> None:
    image = picture(3, 4)
    tensor = Preprocess(height=3, width=4, **IMAGENET).tensor(image)
    mean, std = (np.array(IMAGENET[key]) for key in ("mean", "std"))
    np.testing.assert_allclose(tensor[0], ((image / 255 - mean) / std).transpose(2, 0, 1), rtol=1e-5, atol=1e-6)


def test_a_batch_is_its_pictures_one_by_one() -> None:
    how = Preprocess(height=3, width=4, **IMAGENET)
    images = np.stack([picture(3, 4, seed=seed) for seed in range(3)])
    np.testing.assert_array_equal(how.tensor(images), np.concatenate([how.tensor(image) for image in images]))


def test_bgr_turns_the_channels_and_nothing_else() -> None:
    image = picture(3, 4)
    rgb, bgr = (Preprocess(height=3, width=4, colour=colour) for colour in ("rgb", "bgr"))
    np.testing.assert_array_equal(bgr.canonical(picture(9, 9)), rgb.canonical(picture(9, 9)))
    np.testing.assert_array_equal(bgr.tensor(image), rgb.tensor(image)[:, ::-1])
    shifted = Preprocess(height=3, width=4, colour="bgr", mean=(1.0, 0.0, 0.0)).tensor(image)
    np.testing.assert_allclose(shifted[0, 0], image[..., 2] / 255 - 1.0, rtol=1e-5, atol=1e-6)


def test_nhwc_is_nchw_laid_out_otherwise() -> None:
    first, last = (Preprocess(height=3, width=4, layout=layout, **IMAGENET) for layout in ("nchw", "nhwc"))
    np.testing.assert_array_equal(last.tensor(picture(3, 4)), first.tensor(picture(3, 4)).transpose(0, 2, 3, 1))


def test_a_scale_of_one_keeps_levels_as_they_are() -> None:
    image = picture(3, 4, 1)
    tensor = Preprocess(height=3, width=4, colour="gray", scale=1.0).tensor(image)
    np.testing.assert_array_equal(tensor[0, 0], image[..., 0].astype(np.float32))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"mean": [0.5, 0.5]}, "mean: expected 1 or 3 numbers for colour 'rgb'"),
        ({"colour": "gray", "std": [0.5, 0.5, 0.5]}, "std: expected 1 number for colour"),
        ({"std": [0.0]}, "std: expected numbers greater than 0"),
        ({"mean": [float("nan")]}, "mean: expected finite numbers"),
        ({"mean": []}, "mean: expected 1 or 3 numbers"),
        ({"resize": "shortest"}, "resize_to: expected the pixels of the shorter side"),
        ({"resize": "shortest", "resize_to": [8, 8]}, "resize_to: expected the pixels"),
        ({"resize_to": 8}, "resize_to: expected [height, width]"),
        ({"resize": "letterbox", "resize_to": [8, 8]}, "resize_to: says nothing with resize: letterbox"),
        ({"resize": "fit"}, "resize: expected 'exact', 'shortest', 'letterbox' or 'none', got 'fit'"),
        ({"fill": 256}, "fill: expected a whole number of at least 0 and of at most 255, got 256"),
        ({"scale": 0}, "scale: expected a number above 0, got 0"),
        ({"height": 0}, "height: expected a whole number above 0, got 0"),
        ({"colour": "yuv"}, "colour: expected 'gray', 'rgb' or 'bgr', got 'yuv'"),
        ({"resampel": "box"}, "resampel: unknown key"),
        ({"tokeniser": "bert"}, "height: unknown key"),
    ],
)
def test_what_does_not_fit_together_is_refused_in_one_line(said: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(AnyPreprocess).validate_python({"height": 8, "width": 8, **said})
    assert first_error(caught.value, AnyPreprocess).startswith(words)
    assert "\n" not in first_error(caught.value, AnyPreprocess)


@given(preprocesses)
def test_what_is_written_is_read_again(how: Preprocess) -> None:
    adapter = TypeAdapter[Any](AnyPreprocess)
    assert adapter.validate_json(adapter.dump_json(how)) == how
    assert adapter.validate_json(adapter.dump_json(how, exclude_defaults=True)) == how


def test_keys_that_were_not_always_there_are_not_hashed_unless_used() -> None:
    """An id hashes what differs from the defaults: bundles from before these keys keep their ids."""
    plain = {"height": 8, "width": 8, "colour": "gray", "mean": [0.5], "std": [0.25]}
    assert Preprocess.model_validate(plain).model_dump(mode="json", exclude_defaults=True) == plain


def test_a_tokeniser_is_told_from_an_image_by_its_key() -> None:
    adapter = TypeAdapter[Any](AnyPreprocess)
    text = Tokeniser(tokeniser="distilbert-base-uncased", max_length=128)
    assert adapter.validate_json(adapter.dump_json(text)) == text
    assert isinstance(adapter.validate_python({"height": 1, "width": 1}), Preprocess)


def test_a_tokenisers_file_is_sealed_by_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text("{}")
    sealed = Tokeniser(tokeniser="tokenizer.json").sealed(path)
    assert sealed.sha256 == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert sealed.sealed(path) == sealed
    path.write_text("{} ")
    with pytest.raises(DataError, match="expected 44136fa355b3"):
        sealed.sealed(path)
    with pytest.raises(DataError, match="cannot be read"):
        sealed.sealed(tmp_path / "none")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_upright_once_where_it_is_read(tmp_path: Path, orientation: int) -> None:
    upright = Image.fromarray(picture(6, 9))
    stored = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = upright if stored is None else upright.transpose(Image.Transpose(stored))
    turned.save(tmp_path / "photo.png", exif=exif)
    np.testing.assert_array_equal(read_image(str(tmp_path / "photo.png")), np.asarray(upright))


def test_codecs_ignore_exif() -> None:
    """A canonical image is upright already; what a payload says of itself turns nothing."""
    exif = Image.Exif()
    exif[0x0112] = 3
    buffer = io.BytesIO()
    Image.fromarray(picture(6, 9)).save(buffer, "PNG", exif=exif)
    encoded = CODECS.load("png")().encode(picture(6, 9))
    changed = type(encoded)(encoded.dtype, encoded.shape, (), buffer.getvalue())
    np.testing.assert_array_equal(CODECS.load("png")().decode(changed), picture(6, 9))


def png_of(width: int, height: int) -> bytes:
    """A PNG that claims this size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    )


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [9_500, 12_000, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_inflated(tmp_path: Path, side: int) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_of(side, side))
    with pytest.raises(DataError) as caught:
        read_image(str(path))
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_picture_or_one_line(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "photo.jpg"
    buffer = io.BytesIO()
    Image.fromarray(picture(4, 4)).save(buffer, "JPEG", exif=b"Exif\0\0" + data)
    for content in (data, buffer.getvalue()):
        path.write_bytes(content)
        said = ""
        try:
            assert read_image(str(path)).dtype == np.uint8
        except DataError as error:
            said = str(error)
        assert "\n" not in said
