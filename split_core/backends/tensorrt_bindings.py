"""Which tensor of an engine stands for which input or output of the model, and in what dtype."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from split_core.backends.onnx_signature import Port, Signature
from split_core.backends.tensorrt_build import engine_name
from split_core.errors import BackendError

# trt.DataType to ours.  Not trt.nptype: that of 8.6 fails with numpy 1.24 and later.
ENGINE_DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "INT8": "int8",
    "UINT8": "uint8",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
}
# What parsers make of types that TensorRT lacks: 8.6 has no int64, none has float64.
NARROWED = {("int64", "int32"), ("float64", "float32")}


@dataclass(frozen=True, slots=True)
class Binding:
    """A port of the model in the engine.

    Attributes:
        port: what callers see.
        tensor: the engine's name of it.
        dtype: the engine's; the port's own, or a narrower one.
        used: False for an input that the engine dropped because nothing depends on it.
    """

    port: Port
    tensor: str
    dtype: str
    used: bool = True


def bindings(trt: Any, engine: Any, signature: Signature) -> tuple[tuple[Binding, ...], tuple[Binding, ...]]:
    """Of the inputs and of the outputs, in the model's order.

    Raises:
        BackendError: the engine is not one of this model, or keeps a tensor on the host.
    """
    modes = _modes(engine)
    takes = tuple(_input(trt, engine, modes, port, engine_name(signature, port)) for port in signature.inputs)
    makes = tuple(Binding(port, port.name, _dtype(trt, engine, port, port.name)) for port in signature.outputs)
    wanted = {item.tensor: trt.TensorIOMode.INPUT for item in takes if item.used}
    wanted |= {item.tensor: trt.TensorIOMode.OUTPUT for item in makes}
    if modes != wanted:
        raise BackendError(f"the engine has tensors {', '.join(sorted(modes))}; expected {', '.join(sorted(wanted))}")
    for tensor in modes:
        if engine.get_tensor_location(tensor) != trt.TensorLocation.DEVICE:
            raise BackendError(f"tensor {tensor!r} holds a shape, which TensorRT keeps on the host; cut elsewhere")
    return takes, makes


def _modes(engine: Any) -> dict[str, Any]:
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    return {name: engine.get_tensor_mode(name) for name in names}


def _input(trt: Any, engine: Any, modes: Mapping[str, Any], port: Port, tensor: str) -> Binding:
    if tensor not in modes:
        return Binding(port, tensor, port.dtype, used=False)
    return Binding(port, tensor, _dtype(trt, engine, port, tensor))


def _dtype(trt: Any, engine: Any, port: Port, tensor: str) -> str:
    """What the engine keeps a port in.

    Raises:
        BackendError: a type that is neither the model's nor what a parser would make of it.
    """
    here = {name: dtype for name, dtype in ENGINE_DTYPES.items() if hasattr(trt.DataType, name)}
    found = engine.get_tensor_dtype(tensor)
    dtype = next((dtype for name, dtype in here.items() if getattr(trt.DataType, name) == found), None)
    if dtype is None or (dtype != port.dtype and (port.dtype, dtype) not in NARROWED):
        raise BackendError(f"tensor {port.name!r}: the model says {port.dtype}, the engine {dtype or found}")
    return dtype
