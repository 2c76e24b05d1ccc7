from __future__ import annotations

import tracemalloc

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from split_core import wire
from split_core.codecs.base import Encoded
from split_core.errors import WireError
from split_core.tensors import DTYPES, ITEM_BYTES

ids = st.integers(0, wire.MAX_COUNT)
texts = st.text(max_size=40)
numbers = st.floats(allow_nan=False, allow_infinity=False)
shapes = st.lists(st.integers(1, 9), max_size=4).map(tuple)
tensors = st.builds(
    Encoded, st.sampled_from(DTYPES), shapes, st.lists(numbers, max_size=3).map(tuple), st.binary(max_size=64)
)
messages = st.one_of(
    st.builds(wire.Hello, ids, texts, texts, texts, st.lists(texts, max_size=5).map(tuple)),
    st.builds(wire.Welcome, ids, texts, texts, ids),
    st.builds(
        wire.Offload,
        ids,
        texts,
        st.integers(0, 1000),
        texts,
        numbers,
        st.lists(tensors, min_size=1, max_size=wire.MAX_TENSORS).map(tuple),
    ),
    st.builds(
        wire.Verdict,
        ids,
        st.integers(0, 1000),
        st.binary(min_size=4, max_size=40).map(lambda data: data[: len(data) // 4 * 4]),
        numbers,
        numbers,
    ),
    st.builds(wire.Refusal, ids, st.sampled_from(wire.REFUSALS), texts, numbers),
)
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=9)
    | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=20,
)
OUTCOMES = (wire.Hello, wire.Welcome, wire.Offload, wire.Verdict, wire.Refusal, WireError)
kinds = st.sampled_from(["hello", "welcome", "offload", "verdict", "refusal", "nonsense"])


def outcome(frames: list[bytes]) -> type:
    """Of decoding: the kind of message, or the one error that a stranger's bytes may cause."""
    try:
        return type(wire.decode(frames))
    except WireError:
        return WireError


def offload(**changes: object) -> wire.Offload:
    values: dict[str, object] = {
        "request_id": 7,
        "bundle_id": "b",
        "cut": 1,
        "codec": "raw",
        "deadline_ms": 100.0,
        "tensors": (Encoded("float32", (1, 4), (), bytes(16)),),
        **changes,
    }
    return wire.Offload(**values)  # type: ignore[arg-type]


@given(messages)
def test_every_message_comes_back_as_it_was(message: wire.Message) -> None:
    frames = [bytes(frame) for frame in wire.encode(message)]
    assert wire.decode(frames) == message


@given(st.lists(st.binary(max_size=64), max_size=4))
def test_any_bytes_give_a_message_or_a_wire_error(frames: list[bytes]) -> None:
    assert outcome(frames) in OUTCOMES


@given(kinds, st.lists(plain, max_size=8), st.lists(st.binary(max_size=16), max_size=3))
def test_any_well_packed_header_gives_a_message_or_a_wire_error(
    kind: str, fields: list[object], data: list[bytes]
) -> None:
    assert outcome([msgpack.packb([wire.VERSION, kind, *fields]), *data]) in OUTCOMES


@given(messages, st.data())
def test_a_message_with_one_changed_byte_gives_a_message_or_a_wire_error(
    message: wire.Message, data: st.DataObject
) -> None:
    header, *rest = (bytes(frame) for frame in wire.encode(message))
    place = data.draw(st.integers(0, len(header) - 1))
    changed = header[:place] + bytes([data.draw(st.integers(0, 255))]) + header[place + 1 :]
    assert outcome([changed, *rest]) in OUTCOMES


@given(st.lists(st.binary(max_size=64), max_size=3))
def test_what_cannot_be_read_can_always_be_answered(frames: list[bytes]) -> None:
    try:
        wire.decode(frames)
    except WireError as error:
        refusal = wire.refusal_of(frames, error)
        assert wire.decode([bytes(frame) for frame in wire.encode(refusal)]) == refusal
        assert refusal.code in ("malformed", "version")


def test_a_refusal_carries_the_id_that_can_still_be_read() -> None:
    frames = [msgpack.packb([wire.VERSION, "offload", 41, "bundle"])]
    with pytest.raises(WireError, match="got 2") as caught:
        wire.decode(frames)
    assert wire.refusal_of(frames, caught.value) == wire.Refusal(41, "malformed", str(caught.value), 0.0)


def test_another_protocol_version_is_told_from_garbage() -> None:
    frames = [msgpack.packb([wire.VERSION + 1, "hello", 5, "new", "fields"])]
    with pytest.raises(WireError, match="same release") as caught:
        wire.decode(frames)
    refusal = wire.refusal_of(frames, caught.value)
    assert (refusal.code, refusal.request_id) == ("version", 5)


@pytest.mark.parametrize(
    "shape", [(2**20, 2**20), (2**26,) * 8, (1, 0), (2**62,), ()], ids=["tera", "rank 8", "empty", "exa", "scalar"]
)
def test_a_huge_announced_shape_is_refused_without_memory(shape: tuple[int, ...]) -> None:
    frames = [bytes(f) for f in wire.encode(offload(tensors=(Encoded("float32", shape, (), b"1234"),)))]
    tracemalloc.start()
    try:
        if shape == ():
            assert isinstance(wire.decode(frames), wire.Offload)  # one number: nothing huge about it
        else:
            with pytest.raises(WireError):
                wire.decode(frames)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_more_frames_than_announced_are_refused() -> None:
    with pytest.raises(WireError, match="announces 1 tensors, message carries 2"):
        wire.decode([*map(bytes, wire.encode(offload())), b"more"])


def test_an_oversized_header_is_refused_unread() -> None:
    with pytest.raises(WireError, match="at most"):
        wire.decode([b"\x91" * (wire.MAX_HEADER_BYTES + 1)])


@pytest.mark.parametrize("dtype", ["object", ">f4", "complex128", "U8", "float128"])
def test_a_dtype_off_the_list_is_refused(dtype: str) -> None:
    header = [wire.VERSION, "offload", 1, "b", 1, "raw", 5.0, [[dtype, [4], []]]]
    with pytest.raises(WireError, match="may not be shipped"):
        wire.decode([msgpack.packb(header), bytes(32)])


@pytest.mark.parametrize("deadline_ms", [float("nan"), float("inf"), True, "5"])
def test_a_deadline_that_is_no_finite_number_is_refused(deadline_ms: object) -> None:
    header = [wire.VERSION, "offload", 1, "b", 1, "raw", deadline_ms, [["uint8", [4], []]]]
    with pytest.raises(WireError, match="deadline_ms"):
        wire.decode([msgpack.packb(header), bytes(4)])


def test_whole_numbers_may_stand_for_milliseconds() -> None:
    sent = offload(deadline_ms=150)
    assert wire.decode([bytes(frame) for frame in wire.encode(sent)]) == sent


def test_tensors_stay_views_of_the_frames() -> None:
    data = bytes(range(16))
    message = wire.decode([bytes(wire.encode(offload())[0]), data])
    assert isinstance(message, wire.Offload)
    assert message.tensors[0].data is data


def test_the_size_limit_holds_for_every_dtype() -> None:
    for dtype in DTYPES:
        size = wire.MAX_TENSOR_BYTES // ITEM_BYTES[dtype]
        fits = wire.encode(offload(tensors=(Encoded(dtype, (size,), (), b"x"),)))
        over = wire.encode(offload(tensors=(Encoded(dtype, (size + 1,), (), b"x"),)))
        assert isinstance(wire.decode([bytes(f) for f in fits]), wire.Offload)
        with pytest.raises(WireError):
            wire.decode([bytes(f) for f in over])
