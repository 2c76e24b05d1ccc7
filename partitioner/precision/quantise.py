"""One piece to 8 bits with onnxruntime's static quantiser, as files in a folder that goes away."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
from onnx import ModelProto
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from partitioner.precision.base import Feed, Untouched
from split_core.backends.onnxruntime import ORT_ERRORS, one_line

# Those that hold the arithmetic.  Normalisations, softmax and activations such as GELU are computed in float32 anyway.
HEAVY = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
# Those between the convolutions of a CNN, so that 8 bits flow from one to the next: a 224x224 MobileNetV2 is then 1.9
# times as fast as in float32, else 1.3 times.  Not where there are matrix products: 8 bits are too coarse for the
# residual stream of a transformer (a small ViT's labels agree on 67 % instead of 91 %), and gain no time there.
BETWEEN = frozenset(
    {"Add", "AveragePool", "Clip", "Concat", "GlobalAveragePool", "LeakyRelu", "MaxPool", "Relu", "Resize", "Split"}
    | {"Reshape", "Squeeze", "Transpose", "Unsqueeze"}
)
# What these make goes into a normalisation, a softmax, a residual stream, or is the answer: float32 serves all of them.
WIDE_OUTPUTS = ["Gemm", "MatMul"]
# They are a few kilobytes, hardly faster in 8 bits, and every label goes through them: on the demo network 8-bit heads
# cost the first exit another 0.8 % of agreement and save 3 KB of 2.9 MB.
HEADS = False
PER_CHANNEL_FROM = 13  # the opset whose QuantizeLinear knows channels

# The quantiser has no error class of its own; these are what its Python code and the libraries under it raise.
REFUSALS: tuple[type[Exception], ...] = (
    *(*ORT_ERRORS, onnx.checker.ValidationError, onnx.shape_inference.InferenceError),
    *(ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError),
)


@dataclass(frozen=True)
class Scheme:
    """How numbers become 8 bits; weights are signed and have a scale per channel.

    Attributes:
        activations: "uint8" or "int8".
        reduce_range: weights of 7 bits, so that AVX2's 16-bit sums do not saturate.
        options: of onnxruntime's quantiser.
    """

    activations: str
    reduce_range: bool
    options: dict[str, Any]


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._rest = iter(feeds)

    def get_next(self) -> dict[str, Any] | None:
        feed = next(self._rest, None)
        return None if feed is None else dict(feed)


def quantised(model: ModelProto, feeds: Sequence[Feed], scheme: Scheme) -> ModelProto:
    """`model` with QuantizeLinear and DequantizeLinear around what runs in 8 bits.

    Args:
        model: a piece; it is not changed.
        feeds: batches of its inputs, for the ranges of its activations.
        scheme: see there.

    Raises:
        Untouched: nothing in it can be quantised, or onnxruntime refuses.
    """
    if not HEAVY.intersection(node.op_type for node in model.graph.node):
        raise Untouched("it has no convolution and no matrix product")
    opset = next((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), 0)
    if opset < PER_CHANNEL_FROM:
        raise Untouched(f"scales per channel need opset {PER_CHANNEL_FROM}, it has {opset}")
    with tempfile.TemporaryDirectory(prefix="offramp-") as folder, _silence():
        try:
            return _quantised(model, feeds, scheme, Path(folder))
        except REFUSALS as error:
            raise Untouched(f"onnxruntime does not quantise it: {one_line(error)}") from error


def _quantised(model: ModelProto, feeds: Sequence[Feed], scheme: Scheme, folder: Path) -> ModelProto:
    # By file: given a model, the quantiser moves its weights out and loses them.
    prepared, made = folder / "prepared.onnx", folder / "made.onnx"
    prepared.write_bytes(_folded(model, folder / "folded.onnx").SerializeToString(deterministic=True))
    quantize_static(
        str(prepared),
        str(made),
        _Reader(feeds),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=_quantisable(model),
        per_channel=True,
        reduce_range=scheme.reduce_range,
        activation_type=QuantType.QUInt8 if scheme.activations == "uint8" else QuantType.QInt8,
        weight_type=QuantType.QInt8,
        extra_options={**scheme.options, "OpTypesToExcludeOutputQuantization": WIDE_OUTPUTS},
    )
    return onnx.load(made)


def _quantisable(model: ModelProto) -> list[str]:
    """Kinds of nodes that shall run in 8 bits."""
    transforms = any(node.op_type == "MatMul" for node in model.graph.node)
    return sorted(HEAVY if transforms else HEAVY | BETWEEN)


def _folded(model: ModelProto, path: Path) -> ModelProto:
    """The piece with batch normalisation in the convolutions and constants computed, where names stay."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    onnxruntime.InferenceSession(
        model.SerializeToString(deterministic=True),
        options,
        ["CPUExecutionProvider"],
        # It would put reshapes with fixed sizes around the matrix products of a transformer.
        disabled_optimizers=["MatMulAddFusion"],
    )
    folded = onnx.load(path)
    same = [value.name for value in folded.graph.input] == [value.name for value in model.graph.input]
    known = {item.domain for item in model.opset_import} | {"ai.onnx"}
    return folded if same and all(node.domain in known for node in folded.graph.node) else model


@contextmanager
def _silence() -> Iterator[None]:
    """Keeps the quantiser's advice from the terminal: what is worth saying stands in the certificate."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with redirect_stdout(StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
