"""Whatever `CODECS` holds must do this."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from split_core.codecs import CODECS
from split_core.codecs.base import Codec, Encoded
from split_core.codecs.tokens import Tokens
from split_core.errors import CodecError
from split_core.tensors import DTYPES, Array

LOADED: dict[str, Codec] = {name: CODECS.load(name)() for name in CODECS}
HIDDEN = [name for name, codec in LOADED.items() if codec.kind == "hidden"]
INPUT = [name for name, codec in LOADED.items() if codec.kind == "input" and not isinstance(codec, Tokens)]
EVERY = pytest.mark.parametrize("name", list(LOADED))


def base() -> Array:
    return np.random.default_rng(3).normal(0, 3, (2, 6, 5, 4)).astype(np.float32)


NASTY = {
    "plain": base(),
    "one number": np.full((1,), 2.5, np.float32),
    "no axes": np.array(7.25, np.float32),
    "strided": base()[:, ::2, :, ::3],
    "reversed": base()[::-1, :, ::-1],
    "fortran": np.asfortranarray(base()),
    "transposed": base().transpose(3, 1, 0, 2),
    "zero stride": np.broadcast_to(np.float32(1.5), (3, 4, 5)),
    "read-only": np.frombuffer(base().tobytes(), np.float32).reshape(base().shape),
    "constant": np.full((1, 8, 7), -3.0, np.float32),
    "zeros": np.zeros((1, 8, 7), np.float32),
    "half zeros": np.maximum(base(), 0.0),
    "far from zero": base() + np.float32(1000.0),
    "tiny": base() * np.float32(1e-20),
    "subnormal": np.full((2, 3), 1e-40, np.float32) * np.float32([[0, 1, 2], [3, 4, 5]]),
    "huge": base() * np.float32(1e36),
    "unaligned": np.frombuffer(b"\0" + base().tobytes(), np.uint8)[1:].view(np.float32),
}
IMAGES = {
    "gray": np.random.default_rng(1).integers(0, 256, (13, 9, 1), np.uint8),
    "rgb": np.random.default_rng(1).integers(0, 256, (9, 13, 3), np.uint8),
    "one pixel": np.full((1, 1, 1), 200, np.uint8),
    "strided": np.random.default_rng(1).integers(0, 256, (20, 20, 3), np.uint8)[::2, ::-3],
    "one line": np.zeros((1, 300, 3), np.uint8),
}


TEXTS = {
    "sentence": np.random.default_rng(2).integers(0, 30_000, (1, 40)),
    "one token": np.zeros((1, 1), np.int64),
    "large vocabulary": np.array([[0, 250_000, 65_535, 65_536]]),
    "two texts": np.arange(14).reshape(2, 7),
    "strided": np.arange(40).reshape(2, 20)[:, ::-3],
}


def sample(codec: Codec) -> Array:
    return next(iter(samples(codec).values()))


def samples(codec: Codec) -> dict[str, Array]:
    if codec.kind == "hidden":
        return NASTY
    return TEXTS if isinstance(codec, Tokens) else IMAGES


@EVERY
def test_what_is_decoded_has_the_shape_and_dtype_that_were_encoded(name: str) -> None:
    codec = LOADED[name]
    for what, array in samples(codec).items():
        encoded = codec.encode(array)
        decoded = codec.decode(encoded)
        assert (decoded.dtype, decoded.shape) == (array.dtype, array.shape), what
        assert (encoded.dtype, encoded.shape) == (array.dtype.name, array.shape), what


@EVERY
def test_lossless_codecs_give_the_same_bits_back(name: str) -> None:
    codec = LOADED[name]
    if codec.lossless:
        for what, array in samples(codec).items():
            np.testing.assert_array_equal(codec.decode(codec.encode(array)), array, err_msg=what)


@pytest.mark.parametrize("name", [name for name in HIDDEN if not LOADED[name].lossless])
def test_affine_codecs_err_by_half_a_scale_at_most(name: str) -> None:
    codec = LOADED[name]
    for what, array in NASTY.items():
        encoded = codec.encode(array)
        error = np.abs(codec.decode(encoded).astype(np.float64) - array.astype(np.float64)).max()
        rounding = 4 * np.finfo(np.float32).eps * np.abs(array.astype(np.float64)).max()
        assert error <= 0.5001 * abs(encoded.params[0]) + rounding, what


@settings(max_examples=60)
@given(
    arrays.arrays(
        np.float32, arrays.array_shapes(max_dims=4, max_side=6), elements=st.floats(-(2.0**100), 2.0**100, width=32)
    )
)
def test_hidden_codecs_keep_any_finite_tensor_within_their_bound(array: Array) -> None:
    for name in HIDDEN:
        encoded = LOADED[name].encode(array)
        error = np.abs(LOADED[name].decode(encoded).astype(np.float64) - array.astype(np.float64)).max()
        step = 0.0 if LOADED[name].lossless else abs(encoded.params[0])
        assert error <= 0.5001 * step + 4 * np.finfo(np.float32).eps * np.abs(array.astype(np.float64)).max(), name


@pytest.mark.parametrize("name", [name for name in INPUT if not LOADED[name].lossless])
def test_pictures_stay_close_to_what_they_were(name: str) -> None:
    ramp = np.linspace(0, 255, 32 * 32).reshape(32, 32, 1).astype(np.uint8)
    decoded = LOADED[name].decode(LOADED[name].encode(ramp)).astype(int)
    assert np.abs(decoded - ramp.astype(int)).mean() < 4.0


@EVERY
def test_decoded_arrays_are_read_only(name: str) -> None:
    decoded = LOADED[name].decode(LOADED[name].encode(sample(LOADED[name])))
    with pytest.raises(ValueError, match="read-only"):
        decoded[...] = 0


@EVERY
def test_the_source_may_change_after_encoding(name: str) -> None:
    codec, array = LOADED[name], sample(LOADED[name]).copy()
    encoded = codec.encode(array)
    before = codec.decode(encoded).copy()
    array[...] = 0
    np.testing.assert_array_equal(codec.decode(encoded), before)


@EVERY
def test_memoryviews_decode_like_bytes(name: str) -> None:
    codec = LOADED[name]
    encoded = codec.encode(sample(codec))
    viewed = replace(encoded, data=memoryview(bytes(encoded.data)))
    np.testing.assert_array_equal(codec.decode(viewed), codec.decode(encoded))


@EVERY
def test_a_wrong_number_of_parameters_is_refused(name: str) -> None:
    codec = LOADED[name]
    encoded = codec.encode(sample(codec))
    with pytest.raises(CodecError, match="parameters"):
        codec.decode(replace(encoded, params=(*encoded.params, 1.0)))


@EVERY
def test_truncated_data_are_refused_unless_only_an_end_mark_is_gone(name: str) -> None:
    codec = LOADED[name]
    encoded = codec.encode(sample(codec))
    refused = 0
    for length in [*range(0, len(encoded.data), max(1, len(encoded.data) // 40)), len(encoded.data) - 1]:
        try:
            decoded = codec.decode(replace(encoded, data=bytes(encoded.data)[:length]))
        except CodecError:
            refused += 1
        else:
            np.testing.assert_array_equal(decoded, codec.decode(encoded))
    assert refused >= 38


@EVERY
def test_another_shape_than_was_encoded_is_refused(name: str) -> None:
    codec = LOADED[name]
    encoded = codec.encode(sample(codec))
    height, *rest = encoded.shape
    with pytest.raises(CodecError):
        codec.decode(replace(encoded, shape=(height + 1, *rest)))


@EVERY
def test_a_bomb_is_refused(name: str) -> None:
    codec = LOADED[name]
    bomb = zstandard.ZstdCompressor().compress(bytes(50_000_000))
    dtype, shape = sample(codec).dtype.name, (8, 8, 3) if sample(codec).ndim == 3 else (1, 3, 8, 8)
    params = codec.encode(sample(codec)).params
    with pytest.raises(CodecError):
        codec.decode(Encoded(dtype, shape, params, bomb))


@pytest.mark.parametrize("name", INPUT)
def test_a_picture_of_another_size_is_refused_by_its_header(name: str) -> None:
    large = LOADED[name].encode(np.zeros((600, 800, 3), np.uint8))
    with pytest.raises(CodecError):
        LOADED[name].decode(replace(large, shape=(8, 8, 3)))


@EVERY
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_payload_gives_the_announced_tensor_or_a_codec_error(name: str, data: st.DataObject) -> None:
    codec = LOADED[name]
    good = codec.encode(sample(codec))
    mutated = bytearray(good.data)
    for place in data.draw(st.lists(st.integers(0, len(mutated) - 1), max_size=6)):
        mutated[place] = data.draw(st.integers(0, 255))
    payload = data.draw(st.sampled_from([bytes(mutated), data.draw(st.binary(max_size=80))]))
    encoded = Encoded(
        data.draw(st.sampled_from([good.dtype, *DTYPES])),
        data.draw(st.sampled_from([good.shape, (), (3,), (4, 4, 1), (2, 2, 2, 2)])),
        data.draw(st.sampled_from([good.params, (), (float("nan"), 0.0), (1e38, 1e38), (-1.0, 3e38)])),
        payload,
    )
    with suppress(CodecError):
        decoded = codec.decode(encoded)
        assert (decoded.dtype.name, decoded.shape) == (encoded.dtype, encoded.shape)


@pytest.mark.parametrize("name", HIDDEN)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_kept_or_refused_never_changed(name: str, value: float) -> None:
    array = np.array([[1.0, value, 2.0]], np.float32)
    try:
        encoded = LOADED[name].encode(array)
    except CodecError:
        return
    np.testing.assert_array_equal(LOADED[name].decode(encoded), array)


@pytest.mark.parametrize("name", HIDDEN)
def test_a_range_wider_than_float32_is_kept_or_refused(name: str) -> None:
    array = np.array([[-3e38, 1e38, 3e38]], np.float32)
    try:
        encoded = LOADED[name].encode(array)
    except CodecError:
        return
    assert np.abs(LOADED[name].decode(encoded) / np.float32(1e38) - array / np.float32(1e38)).max() < 0.02


@EVERY
@pytest.mark.parametrize(
    "array",
    [np.zeros((2, 2), object), np.zeros((2, 2), ">f4"), np.zeros((2, 2), np.complex64), np.array(["a"])],
    ids=["object", "big-endian", "complex", "text"],
)
def test_what_no_boundary_may_cross_is_not_encoded(name: str, array: Array) -> None:
    with pytest.raises(CodecError):
        LOADED[name].encode(array)


@pytest.mark.parametrize("name", HIDDEN)
@pytest.mark.parametrize("dtype", [name for name in DTYPES if np.dtype(name).kind in "iub"])
def test_masks_and_ids_are_never_rounded(name: str, dtype: str) -> None:
    array = np.array([[0, 1, 1, 0], [1, 1, 1, 1]]).astype(dtype) * np.array(100).astype(dtype)
    np.testing.assert_array_equal(LOADED[name].decode(LOADED[name].encode(array)), array)


@pytest.mark.parametrize("ids", [[[-1, 5]], [[1 << 32]]])
def test_what_is_no_token_is_not_encoded(ids: list[list[int]]) -> None:
    with pytest.raises(CodecError, match="tokens carries ids of 0"):
        Tokens().encode(np.array(ids))


@pytest.mark.parametrize("name", HIDDEN)
def test_hidden_codecs_refuse_or_carry_each_shippable_dtype(name: str) -> None:
    for dtype in DTYPES:
        array = np.arange(6).reshape(2, 3).astype(dtype)
        with suppress(CodecError):
            assert LOADED[name].decode(LOADED[name].encode(array)).dtype == np.dtype(dtype)
