"""How much memory a network may ask for while its shapes are observed: a file of a few bytes can ask for terabytes."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from functools import cache

import onnxruntime
from onnx import ModelProto

from split_core.errors import ModelError

# Of all activations at once, at a batch of three; a network that needs more than that here cannot be proved here.
MOST_BYTES = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
SESSION = {"session.use_env_allocators": "1", "session.use_device_allocator_for_initializers": "1"}
REFUSED = "BFCArena"  # it is in what the arena says at its limit


@cache
def limit_memory() -> None:
    """Make the arena, one for the process, that sessions with the entries `SESSION` take activations from."""
    kind = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    memory = onnxruntime.OrtMemoryInfo("Cpu", kind, 0, onnxruntime.OrtMemType.DEFAULT)
    as_requested = 1
    settings = {"max_mem": MOST_BYTES, "arena_extend_strategy": as_requested}
    onnxruntime.set_default_logger_severity(4)  # what it would print is raised
    onnxruntime.create_and_register_allocator(memory, onnxruntime.OrtArenaCfg(settings))


def said_gb() -> str:
    """The limit in words."""
    return f"{MOST_BYTES / 1e9:.1f} GB, half of what this machine has,"


def check_input(name: str, shape: Sequence[int], item_bytes: int) -> None:
    """Refuse an input that is larger than all activations may be.

    Raises:
        ModelError: it is.
    """
    _check(f"input {name!r}", shape, item_bytes)


def check_sparse(model: ModelProto) -> None:
    """Refuse sparse weights that an engine, which lays them out, would need too much memory for.

    Raises:
        ModelError: one is too large.
    """
    values = [item for node in model.graph.node for item in node.attribute if item.HasField("sparse_tensor")]
    for item in (*model.graph.sparse_initializer, *(item.sparse_tensor for item in values)):
        _check(f"sparse weights {item.values.name!r}", item.dims, 8)


def _check(what: str, shape: Sequence[int], item_bytes: int) -> None:
    if math.prod(shape) * item_bytes > MOST_BYTES:
        said, needed_gb = "x".join(map(str, shape)), math.prod(shape) * item_bytes / 1e9
        raise ModelError(f"{what} of {said} needs {needed_gb:.1f} GB; at most {said_gb()} may be used")
