"""Messages to frames and back.  Pure: no sockets, no clock.

A message is one msgpack header frame, then one raw frame per tensor: tensors never pass through
msgpack (10 times slower at 3 MiB).  Everything is checked before anything is allocated, and any bytes
give a message or a `WireError`.  Deadlines travel as remaining milliseconds: two machines' clocks are
never compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack

from split_core.codecs.base import Encoded
from split_core.errors import WireError
from split_core.tensors import ITEM_BYTES

VERSION = 1
MAX_HEADER_BYTES = 16_384
MAX_TENSORS = 8
MAX_RANK = 8
MAX_TENSOR_BYTES = 64 * 1024 * 1024  # decoded; 30 times a 1080p float32 hidden state at stride 8
MAX_TEXT = 400
MAX_COUNT = 2**62

Frame = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Hello:
    """Device to worker, at connect and as a probe: who I am and which bundle I run."""

    request_id: int
    camera: str
    bundle_id: str
    policy_id: str
    codecs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Welcome:
    """Worker to device: we fit.  `queued_rows` tells its load."""

    request_id: int
    worker: str
    bundle_id: str
    queued_rows: int


@dataclass(frozen=True, slots=True)
class Offload:
    """Device to worker: finish this from `cut`.

    Attributes:
        request_id: unique per connection; the answer carries it.
        bundle_id: whose tensors these are.
        cut: 0 = canonical image, k = hidden state k.
        codec: name in `CODECS`, for all tensors of the message.
        deadline_ms: how long the answer is of use, from now.
        tensors: the cut's tensors in the manifest's order.
    """

    request_id: int
    bundle_id: str
    cut: int
    codec: str
    deadline_ms: float
    tensors: tuple[Encoded, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Worker to device: the answer.

    Attributes:
        exit: which exit it comes from; K is the full model.
        logits: (C,) float32 bytes, uncalibrated: calibration is the policy's, and that is the device's.
        queue_ms, cloud_ms: how long it waited, and how long it was computed (with decoding).
    """

    request_id: int
    exit: int
    logits: bytes
    queue_ms: float
    cloud_ms: float


REFUSALS = ("malformed", "version", "mismatch", "busy", "expired", "failed", "stopping")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Worker to device: no, and why.

    Attributes:
        request_id: of the request; 0 when it could not be read.
        code: one of `REFUSALS`.
        reason: one line for people.
        retry_after_ms: 0 when trying again is of no use.
    """

    request_id: int
    code: str
    reason: str
    retry_after_ms: float


Message = Hello | Welcome | Offload | Verdict | Refusal


def encode(message: Message) -> list[Frame]:
    """Frames of a message, to be sent as one multipart message."""
    kind, pack = _PACK[type(message)]
    header, frames = pack(message)
    return [msgpack.packb([VERSION, kind, *header]), *frames]


def decode(frames: Sequence[Frame]) -> Message:
    """The message in these frames; tensors stay encoded, as views of the frames.

    Raises:
        WireError: anything else.  `WireError.args` is one line.
    """
    if not 1 <= len(frames) <= 1 + MAX_TENSORS:
        raise WireError(f"a message has 1 to {1 + MAX_TENSORS} frames, got {len(frames)}")
    if len(frames[0]) > MAX_HEADER_BYTES:
        raise WireError(f"header of {len(frames[0])} bytes; at most {MAX_HEADER_BYTES}")
    try:
        header = msgpack.unpackb(frames[0])
    except (ValueError, msgpack.UnpackException) as error:
        raise WireError("header is not msgpack") from error
    if type(header) is not list or len(header) < 2:
        raise WireError("header is not a list of version, kind and fields")
    if header[0] != VERSION:
        raise WireError(
            f"protocol version {str(header[0])[:20]!r}; this side speaks {VERSION}: install the same release on both"
        )
    unpack = _UNPACK.get(header[1]) if type(header[1]) is str else None
    if unpack is None:
        raise WireError(f"unknown message kind {str(header[1])[:20]!r}")
    return unpack(header[2:], frames[1:])


def refusal_of(frames: Sequence[Frame], error: WireError) -> Refusal:
    """What to answer to frames that `decode` refused with `error`.

    Carries the request's id where it can still be read, so that the device need not wait for its deadline.
    """
    try:
        header = msgpack.unpackb(frames[0]) if len(frames) > 0 and len(frames[0]) <= MAX_HEADER_BYTES else None
    except (ValueError, msgpack.UnpackException):
        header = None
    fields = header if type(header) is list else []
    code = "version" if len(fields) >= 2 and fields[0] != VERSION else "malformed"
    readable = len(fields) >= 3 and type(fields[2]) is int and 0 <= fields[2] <= MAX_COUNT
    return Refusal(fields[2] if readable else 0, code, str(error)[:MAX_TEXT], 0.0)


# Plain functions over plain values, not a reader object: this runs twice per offload, and most often on
# a cold cache, where every call counts double.
def _expect_fields(values: list[Any], *names: str) -> None:
    if len(values) != len(names):
        raise WireError(f"expected {len(names)} fields ({', '.join(names)}), got {len(values)}")


def _count(value: Any, name: str, largest: int = MAX_COUNT) -> int:
    if type(value) is not int:  # exact: a bool is an int in Python
        raise WireError(f"field {name!r} must be int, got {type(value).__name__}")
    if not 0 <= value <= largest:
        raise WireError(f"field {name!r} must be in 0..{largest}, got {value}")
    return value


def _number(value: Any, name: str) -> float:
    if type(value) is not float or not math.isfinite(value):
        raise WireError(f"field {name!r} must be a finite float, got {str(value)[:20]!r}")
    return value


def _text(value: Any, name: str) -> str:
    if type(value) is not str or len(value) > MAX_TEXT:
        raise WireError(f"field {name!r} must be a text of at most {MAX_TEXT} characters, got {type(value).__name__}")
    return value


def _items(value: Any, name: str, largest: int) -> list[Any]:
    if type(value) is not list or len(value) > largest:
        raise WireError(f"field {name!r} must be a list of at most {largest}, got {type(value).__name__}")
    return value


def _no_frames(frames: Sequence[Frame]) -> None:
    if frames:
        raise WireError(f"this kind carries no tensors, got {len(frames)} frames")


def _pack_hello(message: Hello) -> tuple[list[Any], list[Frame]]:
    return [message.request_id, message.camera, message.bundle_id, message.policy_id, list(message.codecs)], []


def _unpack_hello(fields: list[Any], frames: Sequence[Frame]) -> Hello:
    _no_frames(frames)
    _expect_fields(fields, "request_id", "camera", "bundle_id", "policy_id", "codecs")
    request_id, camera, bundle_id, policy_id, codecs = fields
    return Hello(
        _count(request_id, "request_id"),
        _text(camera, "camera"),
        _text(bundle_id, "bundle_id"),
        _text(policy_id, "policy_id"),
        tuple(_text(codec, "codec") for codec in _items(codecs, "codecs", 64)),
    )


def _pack_welcome(message: Welcome) -> tuple[list[Any], list[Frame]]:
    return [message.request_id, message.worker, message.bundle_id, message.queued_rows], []


def _unpack_welcome(fields: list[Any], frames: Sequence[Frame]) -> Welcome:
    _no_frames(frames)
    _expect_fields(fields, "request_id", "worker", "bundle_id", "queued_rows")
    request_id, worker, bundle_id, queued_rows = fields
    return Welcome(
        _count(request_id, "request_id"),
        _text(worker, "worker"),
        _text(bundle_id, "bundle_id"),
        _count(queued_rows, "queued_rows"),
    )


def _pack_offload(message: Offload) -> tuple[list[Any], list[Frame]]:
    tensors = [[t.dtype, list(t.shape), [float(param) for param in t.params]] for t in message.tensors]
    header = [message.request_id, message.bundle_id, message.cut, message.codec, float(message.deadline_ms), tensors]
    return header, [t.data for t in message.tensors]


def _unpack_offload(fields: list[Any], frames: Sequence[Frame]) -> Offload:
    _expect_fields(fields, "request_id", "bundle_id", "cut", "codec", "deadline_ms", "tensors")
    request_id, bundle_id, cut, codec, deadline_ms, announced = fields
    _items(announced, "tensors", MAX_TENSORS)
    if not announced or len(announced) != len(frames):
        raise WireError(f"header announces {len(announced)} tensors, message carries {len(frames)}")
    return Offload(
        _count(request_id, "request_id"),
        _text(bundle_id, "bundle_id"),
        _count(cut, "cut", 1000),
        _text(codec, "codec"),
        _number(deadline_ms, "deadline_ms"),
        tuple([_unpack_tensor(item, frame) for item, frame in zip(announced, frames, strict=True)]),
    )


def _unpack_tensor(announced: Any, frame: Frame) -> Encoded:
    _expect_fields(_items(announced, "tensor", 3), "dtype", "shape", "params")
    dtype, shape, params = announced
    if _text(dtype, "dtype") not in ITEM_BYTES:
        raise WireError(f"dtype {dtype[:20]!r} may not be shipped")
    for size in _items(shape, "shape", MAX_RANK):
        _count(size, "size", MAX_TENSOR_BYTES)
    for param in _items(params, "params", 16):
        _number(param, "param")
    if not 0 < math.prod(shape) * ITEM_BYTES[dtype] <= MAX_TENSOR_BYTES:
        raise WireError(f"tensor {dtype} {tuple(shape)} is empty or larger than {MAX_TENSOR_BYTES} bytes")
    if len(frame) > MAX_TENSOR_BYTES:
        raise WireError(f"frame of {len(frame)} bytes; at most {MAX_TENSOR_BYTES}")
    return Encoded(dtype, tuple(shape), tuple(params), frame)


def _pack_verdict(message: Verdict) -> tuple[list[Any], list[Frame]]:
    return [message.request_id, message.exit, float(message.queue_ms), float(message.cloud_ms)], [message.logits]


def _unpack_verdict(fields: list[Any], frames: Sequence[Frame]) -> Verdict:
    _expect_fields(fields, "request_id", "exit", "queue_ms", "cloud_ms")
    request_id, exit, queue_ms, cloud_ms = fields
    if len(frames) != 1 or len(frames[0]) % 4 or not 0 < len(frames[0]) <= MAX_TENSOR_BYTES:
        raise WireError("a verdict carries one frame of float32 logits")
    return Verdict(
        _count(request_id, "request_id"),
        _count(exit, "exit", 1000),
        bytes(frames[0]),
        _number(queue_ms, "queue_ms"),
        _number(cloud_ms, "cloud_ms"),
    )


def _pack_refusal(message: Refusal) -> tuple[list[Any], list[Frame]]:
    return [message.request_id, message.code, message.reason[:MAX_TEXT], float(message.retry_after_ms)], []


def _unpack_refusal(fields: list[Any], frames: Sequence[Frame]) -> Refusal:
    _no_frames(frames)
    _expect_fields(fields, "request_id", "code", "reason", "retry_after_ms")
    request_id, code, reason, retry_after_ms = fields
    if code not in REFUSALS:
        raise WireError(f"refusal code {str(code)[:20]!r} is none of {', '.join(REFUSALS)}")
    return Refusal(
        _count(request_id, "request_id"), code, _text(reason, "reason"), _number(retry_after_ms, "retry_after_ms")
    )


_PACK: dict[type, tuple[str, Callable[[Any], tuple[list[Any], list[Frame]]]]] = {
    Hello: ("hello", _pack_hello),
    Welcome: ("welcome", _pack_welcome),
    Offload: ("offload", _pack_offload),
    Verdict: ("verdict", _pack_verdict),
    Refusal: ("refusal", _pack_refusal),
}
_UNPACK: dict[str, Callable[[list[Any], Sequence[Frame]], Message]] = {
    "hello": _unpack_hello,
    "welcome": _unpack_welcome,
    "offload": _unpack_offload,
    "verdict": _unpack_verdict,
    "refusal": _unpack_refusal,
}
