"""Where a network comes from, to its importer: `read(location, request) -> Network`."""

from __future__ import annotations

from split_core.registry import Registry

MODULE = "module:factory"

IMPORTERS = Registry(
    "model format",
    {
        ".onnx": "partitioner.importers.onnx:read partition",
        ".pt2": "partitioner.importers.traced:read_program torch",
        MODULE: "partitioner.importers.traced:read_module torch",
    },
)
