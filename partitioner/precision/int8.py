"""8 bits for onnxruntime on a CPU."""

from __future__ import annotations

from collections.abc import Sequence

from onnx import ModelProto

from partitioner.precision.base import Feed
from partitioner.precision.quantise import HEADS, Scheme, quantised

# Unsigned activations: signed ones run slower than float32 there.  Weights of 7 bits: without VNNI, sums of
# products of full bytes saturate at 16 bits.
SCHEME = Scheme(activations="uint8", reduce_range=True, options={})


class Int8:
    """U8 activations, S8 weights of reduced range per channel, 32-bit biases."""

    backend = "onnxruntime"
    needs_samples = True
    heads = HEADS

    def convert(self, model: ModelProto, feeds: Sequence[Feed]) -> ModelProto:
        """See `Conversion.convert`."""
        return quantised(model, feeds, SCHEME)
