"""16 bits for TensorRT 11, which takes a precision from the model only."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from onnx import ModelProto, TensorProto
from onnxruntime.transformers.float16 import convert_float_to_float16

from partitioner.precision.base import Feed, Untouched
from partitioner.precision.quantise import REFUSALS
from split_core.backends.onnxruntime import one_line


class Fp16:
    """Weights and arithmetic in float16, borders in float32."""

    backend = "tensorrt"
    needs_samples = False
    heads = True

    def convert(self, model: ModelProto, feeds: Sequence[Feed]) -> ModelProto:
        """See `Conversion.convert`."""
        if not any(item.data_type == TensorProto.FLOAT for item in model.graph.initializer):
            raise Untouched("it has no weights in float32")
        copy = ModelProto()
        copy.CopyFrom(model)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one for every weight below the smallest float16
            try:
                made: ModelProto = convert_float_to_float16(copy, keep_io_types=True)
            except REFUSALS as error:
                raise Untouched(f"onnxruntime does not convert it: {one_line(error)}") from error
        return made
