"""What version 1 looks like on the wire, byte for byte.

A device in the field speaks what it was installed with.  Whoever changes one of these lines has made another protocol: it
needs another version, and this one has to be understood for as long as devices speak it.
"""

from __future__ import annotations

import pytest

from split_core import wire
from split_core.codecs.base import Encoded
from split_core.errors import WireError

TENSOR = Encoded("float32", (1, 2, 2), (0.5, -1.0), b"\x01\x02\x03\x04")
GOLDEN: list[tuple[wire.Message, list[str]]] = [
    (
        wire.Hello(7, "door", "b" * 8, "p" * 8, ("u8z", "webp")),
        ["9701a568656c6c6f07a4646f6f72a86262626262626262a8707070707070707092a375387aa477656270"],
    ),
    (wire.Welcome(7, "gpu-1", "b" * 8, 3), ["9601a777656c636f6d6507a56770752d31a8626262626262626203"]),
    (
        wire.Offload(8, "b" * 8, 2, "u8z", 120.5, (TENSOR,)),
        [
            "9801a76f66666c6f616408a8626262626262626202a375387acb405e200000000000"
            "9193a7666c6f617433329301020292cb3fe0000000000000cbbff0000000000000",
            "01020304",
        ],
    ),
    (
        wire.Verdict(8, 6, b"\x00\x00\x80\x3f" * 2, 1.25, 0.5),
        ["9601a7766572646963740806cb3ff4000000000000cb3fe0000000000000", "0000803f0000803f"],
    ),
    (
        wire.Refusal(9, "busy", "12 of 16 rows wait", 40.0),
        ["9601a77265667573616c09a462757379b23132206f6620313620726f77732077616974cb4044000000000000"],
    ),
]


@pytest.mark.parametrize(("message", "frames"), GOLDEN, ids=lambda value: type(value).__name__)
def test_every_message_has_the_bytes_that_it_always_had(message: wire.Message, frames: list[str]) -> None:
    assert [bytes(frame).hex() for frame in wire.encode(message)] == frames
    assert wire.decode([bytes.fromhex(frame) for frame in frames]) == message


def test_no_message_is_without_its_bytes() -> None:
    assert {type(message) for message, _ in GOLDEN} == set(wire.Message.__args__)


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version_is_refused_by_both_numbers(version: int) -> None:
    header = bytes.fromhex(GOLDEN[0][1][0])
    with pytest.raises(WireError, match=f"protocol version '{version}'; this side speaks 1"):
        wire.decode([header[:1] + (bytes([version]) if version < 128 else bytes([0xCC, version])) + header[2:]])
