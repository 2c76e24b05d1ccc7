"""Where frames come from."""

from __future__ import annotations

from split_core.registry import Registry

SOURCES = Registry(
    "source",
    {
        "array": "edge_runtime.sources.array:ArraySource",
        "directory": "edge_runtime.sources.directory:DirectorySource",
        "tsv": "edge_runtime.sources.tsv:TsvSource",
        "video": "edge_runtime.sources.video:VideoSource camera",
    },
)
