"""8 bits for TensorRT."""

from __future__ import annotations

from collections.abc import Sequence

from onnx import ModelProto

from partitioner.precision.base import Feed
from partitioner.precision.quantise import HEADS, Scheme, quantised

# TensorRT's parser takes symmetric signed types only, and no 32-bit biases; it looks for a pair of
# QuantizeLinear and DequantizeLinear of its own in front of every input, weights included.
SCHEME = Scheme(
    activations="int8",
    reduce_range=False,
    options={
        "ActivationSymmetric": True,
        "WeightSymmetric": True,
        "QuantizeBias": False,
        "DedicatedQDQPair": True,
        "AddQDQPairToWeight": True,
    },
)


class Int8TensorRt:
    """S8 activations and S8 weights per channel, all symmetric, biases in float32."""

    backend = "tensorrt"
    needs_samples = True
    heads = HEADS

    def convert(self, model: ModelProto, feeds: Sequence[Feed]) -> ModelProto:
        """See `Conversion.convert`."""
        return quantised(model, feeds, SCHEME)
