"""Other precisions of a bundle's pieces: one file per precision, and one line here."""

from __future__ import annotations

from split_core.registry import Registry

# What stands before a dash is what a user asks for; behind it is the engine that it is meant for.
PRECISIONS = Registry(
    "precision",
    {
        "int8": "partitioner.precision.int8:Int8",
        "int8-tensorrt": "partitioner.precision.int8_tensorrt:Int8TensorRt",
        "fp16": "partitioner.precision.fp16:Fp16",
    },
)


def asked(width: str) -> tuple[str, ...]:
    """Every form of "int8" or "fp16" in the registry."""
    return tuple(name for name in PRECISIONS if name.partition("-")[0] == width)
