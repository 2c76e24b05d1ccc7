"""Inference engines behind one seam: bytes of a model to a session that runs it."""

from __future__ import annotations

from split_core.registry import Registry

BACKENDS = Registry(
    "backend",
    {
        "onnxruntime": "split_core.backends.onnxruntime:OnnxRuntimeBackend",
        "tensorrt": "split_core.backends.tensorrt:TensorRtBackend tensorrt",
    },
)
