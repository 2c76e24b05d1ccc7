"""Element types of tensors: by ONNX's inference, and by the engine where ONNX does not know an operator.

Optimised files hold operators of onnxruntime's own (`com.microsoft`), of which ONNX can say nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import ModelProto, TensorProto, ValueInfoProto

from split_core.backends.onnxruntime import OnnxRuntimeBackend

CODES = {
    "tensor(float)": TensorProto.FLOAT,
    "tensor(float16)": TensorProto.FLOAT16,
    "tensor(bfloat16)": TensorProto.BFLOAT16,
    "tensor(double)": TensorProto.DOUBLE,
    "tensor(bool)": TensorProto.BOOL,
    "tensor(string)": TensorProto.STRING,
    **{
        f"tensor({sign}int{bits})": getattr(TensorProto, f"{sign}int{bits}".upper())
        for sign in ("", "u")
        for bits in (8, 16, 32, 64)
    },
}


def types_of(model: ModelProto, folder: Path | None) -> dict[str, int]:
    """ONNX element type of every tensor that has one.

    Args:
        model: a checked model.
        folder: where external weights are.

    Raises:
        BackendError: onnxruntime cannot load it.
    """
    inferred = onnx.shape_inference.infer_shapes(model).graph
    items = (*inferred.value_info, *inferred.input, *inferred.output)
    known = {item.name for item in items}
    types = {item.name: item.type.tensor_type.elem_type for item in items if item.type.HasField("tensor_type")}
    unknown = [name for node in model.graph.node for name in node.output if name and name not in known]
    return {**types, **_by_engine(model, unknown, folder)} if unknown else types


def _by_engine(model: ModelProto, names: Sequence[str], folder: Path | None) -> dict[str, int]:
    asking = ModelProto()
    asking.CopyFrom(model)
    del asking.graph.output[:]
    asking.graph.output.extend(ValueInfoProto(name=name) for name in names)
    session = OnnxRuntimeBackend("off").load(asking.SerializeToString(), threads=1, folder=folder)
    return {name: CODES[kind] for name, kind in zip(names, session.output_types, strict=True) if kind in CODES}
