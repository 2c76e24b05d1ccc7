"""Where frames come from."""

from __future__ import annotations

from split_core.registry import Registry

SOURCES = Registry(
    "source",
    {
        "array": "edge_runtime.sources.array:ArraySource",
        "camera": "edge_runtime.sources.camera:CameraSource camera",
        "directory": "edge_runtime.sources.directory:DirectorySource",
        "lines": "edge_runtime.sources.lines:LinesSource",
        "tsv": "edge_runtime.sources.tsv:TsvSource",
        "video": "edge_runtime.sources.video:VideoSource camera",
    },
)
