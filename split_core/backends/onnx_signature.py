"""What an ONNX file says about itself, read without the onnx library: a camera has none.

Reads the protobuf wire format and steps over the weights, so that a file of 100 MB takes as long as one of 1 MB.
It is not a check of the model: that is the engine's parser's work.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from split_core.errors import BackendError

# TensorProto.DataType of onnx.proto.
DTYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
}
VARINT, FIXED_64, BYTES, FIXED_32 = 0, 1, 2, 5
NOTHING = memoryview(b"")
Field = tuple[int, "int | memoryview"]


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output: each axis is a fixed size, or the name of one that may change.

    A dynamic axis that the file does not name is "batch" when it is the first, else `NAME[AXIS]`.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """Inputs and outputs in order, and what decides whether the model fits a precision.

    Attributes:
        inputs, outputs: as the graph lists them; weights that are listed as inputs are left out.
        nodes: each as TensorRT's parser spells them: `Conv -> "hidden_1"`.
        weights: dtypes of the initialisers, those that `DTYPES` knows.
        files: where the model keeps weights outside of it, as paths relative to its folder.
        operators: types of the nodes.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    nodes: tuple[str, ...]
    weights: frozenset[str]
    operators: frozenset[str]
    files: tuple[str, ...]


def read_signature(model: bytes) -> Signature:
    """The signature of a serialised ONNX model.

    Raises:
        BackendError: these bytes are no ONNX model, or one with inputs or outputs that are no tensors.
    """
    try:
        graphs = [_bytes(value) for number, value in _fields(memoryview(model)) if number == 7]
        if not graphs:
            raise ValueError("it holds no graph")
        return _signature(graphs[-1])
    except ValueError as error:  # UnicodeDecodeError is one
        raise BackendError(f"{len(model)} bytes are not an ONNX model: {error}; write the bundle again") from error


def _signature(graph: memoryview) -> Signature:
    parts: dict[int, list[memoryview]] = {1: [], 5: [], 11: [], 12: []}
    for number, value in _fields(graph):
        if number in parts:
            parts[number].append(_bytes(value))
    if not parts[12]:
        raise ValueError("its graph has no outputs")
    weights = [_initialiser(item) for item in parts[5]]
    listed = {name for name, *_ in weights}
    nodes = [_node(item) for item in parts[1]]
    return Signature(
        inputs=tuple(port for port in map(_port, parts[11]) if port.name not in listed),
        outputs=tuple(map(_port, parts[12])),
        nodes=tuple(f'{operator} -> "{made}"' for operator, made in nodes),
        weights=frozenset(DTYPES[dtype] for _, dtype, _ in weights if dtype in DTYPES),
        operators=frozenset(operator for operator, _ in nodes),
        files=tuple(sorted({file for *_, file in weights if file})),
    )


def _initialiser(tensor: memoryview) -> tuple[str, int, str]:
    """Name, element type, and the file that holds the values; empty when the model does."""
    name, dtype, file = "", 0, ""
    for number, value in _fields(tensor):
        if number == 8:
            name = _text(value)
        elif number == 2:
            dtype = _int(value)
        elif number == 13:
            entry = dict(_fields(_bytes(value)))
            if _text(entry.get(1, NOTHING)) == "location":
                file = _text(entry.get(2, NOTHING))
    return name, dtype, file


def _node(node: memoryview) -> tuple[str, str]:
    operator, made = "", ""
    for number, value in _fields(node):
        if number == 4:
            operator = _text(value)
        elif number == 2 and not made:
            made = _text(value)
    return operator, made


def _port(value_info: memoryview) -> Port:
    found = dict(_fields(value_info))
    name = _text(found.get(1, NOTHING))
    tensor = dict(_fields(_bytes(found.get(2, NOTHING)))).get(1)
    if tensor is None:
        raise ValueError(f"{name!r} is not a tensor")
    said = dict(_fields(_bytes(tensor)))
    dtype = _int(said.get(1, 0))
    if dtype not in DTYPES:
        raise ValueError(f"{name!r} has element type {dtype}, which no piece may have")
    dims = [_bytes(dim) for number, dim in _fields(_bytes(said.get(2, NOTHING))) if number == 1]
    return Port(name, DTYPES[dtype], tuple(_axis(name, axis, dim) for axis, dim in enumerate(dims)))


def _axis(name: str, axis: int, dim: memoryview) -> int | str:
    said = dict(_fields(dim))
    if 1 in said:
        return _int(said[1])
    return _text(said.get(2, NOTHING)) or ("batch" if axis == 0 else f"{name}[{axis}]")


def _fields(message: memoryview) -> Iterator[Field]:
    """Number and value of each field; fixed-width values, which none of ours has, are stepped over."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if number == 0 or kind not in (VARINT, FIXED_64, BYTES, FIXED_32):
            raise ValueError(f"no field starts at byte {at} of {len(message)}")
        if kind == VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        size, at = _varint(message, at) if kind == BYTES else ({FIXED_64: 8, FIXED_32: 4}[kind], at)
        if at + size > len(message):
            raise ValueError(f"a field of {size} bytes is cut off after {len(message) - at}")
        if kind == BYTES:
            yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number at `at`, and where it ends; at most 10 bytes of 7 bits."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise ValueError("it ends in the middle of a number")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError(f"no number ends at byte {at}")


def _bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number stands where a message is expected")
    return value


def _text(value: int | memoryview) -> str:
    return str(_bytes(value), "utf-8")


def _int(value: int | memoryview) -> int:
    if not isinstance(value, int):
        raise ValueError("a message stands where a number is expected")
    return value
