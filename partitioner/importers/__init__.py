"""File suffix to importer: `read(path) -> Network`."""

from __future__ import annotations

from split_core.registry import Registry

IMPORTERS = Registry("model format", {".onnx": "partitioner.importers.onnx:read partition"})
