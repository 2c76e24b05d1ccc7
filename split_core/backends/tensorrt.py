"""TensorRT: engines are built where they run, from the bundle's ONNX pieces, and kept on disk.

Needs an NVIDIA GPU with its driver, `tensorrt` 8.6 or later and `pycuda`; importing this module needs none of them.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog

from split_core.backends.base import Session
from split_core.backends.device_buffers import Gpu, imported
from split_core.backends.engine_cache import EngineCache, default_folder, key_of
from split_core.backends.onnx_signature import Signature, read_signature
from split_core.backends.tensorrt_build import Range, Recipe, made, serialised_engine
from split_core.backends.tensorrt_log import log_of
from split_core.backends.tensorrt_session import TensorRtSession
from split_core.errors import BackendError
from split_core.files import sha256_of

log = structlog.get_logger("tensorrt")


class TensorRtBackend:
    """Loads pieces with TensorRT on the first GPU.

    Args:
        precision: "fp32", or "fp16" to let TensorRT 8.6 and 10 compute float32 pieces so; from 11 on, and for int8,
            it is in the pieces.
        ranges: smallest, usual and greatest size of what may change, by name: `{"sequence": (16, 128, 512)}`.
            "batch" is (1, 1, 16) unless given.
        cache: folder of built engines; None for `~/.cache/offramp/engines`.
        workspace_mb: memory that a layer may use while it computes; None for TensorRT's own limit.
        trt: the module `tensorrt`; None imports it.
        cuda: the module `pycuda.driver`; None imports it.

    Raises:
        ConfigError: a precision or range that cannot be, or no home for the cache.
        MissingExtra: tensorrt or pycuda is not installed.
        BackendError: there is no driver or no GPU.
    """

    name = "tensorrt"
    shares_sessions = False

    def __init__(
        self,
        precision: str = "fp32",
        ranges: Mapping[str, Range] | None = None,
        cache: str | Path | None = None,
        workspace_mb: int | None = None,
        *,
        trt: Any = None,
        cuda: Any = None,
    ) -> None:
        self._recipe = Recipe(precision, {} if ranges is None else ranges, workspace_mb)
        self._cache = EngineCache(Path(cache).expanduser() if cache else default_folder())
        self._trt = imported("tensorrt") if trt is None else trt
        # Before anything of TensorRT is made: without a driver its runtime may take the process down.
        self._gpu = Gpu(cuda)
        self.version: str = self._trt.__version__
        with self._gpu.active():
            self._runtime = made(self._trt, "runtime", self._trt.Runtime)

    def load(self, model: bytes, *, threads: int, folder: Path | None = None) -> Session:
        """See `Backend.load`; `threads` means nothing to a GPU.  The first time it builds, for up to minutes."""
        signature = read_signature(model)
        key = self._key(model, signature, folder)
        with self._gpu.active():
            engine = self._engine(key, lambda: self._built(model, signature, folder))
        return TensorRtSession(self._trt, self._gpu, engine, signature=signature, recipe=self._recipe)

    def _engine(self, key: str, build: Callable[[], bytes]) -> Any:
        stored = self._cache.get(key)
        if stored is not None:
            engine = self._runtime.deserialize_cuda_engine(stored)
            if engine is not None:
                return engine
            log.warning("TensorRT refuses a cached engine, building it again", reason=log_of(self._trt).last())
        built = build()
        engine = self._runtime.deserialize_cuda_engine(built)
        if engine is None:
            raise BackendError(f"TensorRT refuses the engine that it has just built: {log_of(self._trt).last()}")
        self._cache.put(key, built)
        return engine

    def _built(self, model: bytes, signature: Signature, folder: Path | None) -> bytes:
        names = [port.name for port in signature.outputs]
        log.info("building an engine, which may take minutes", outputs=names, precision=self._recipe.precision)
        started_s = time.perf_counter()
        built = serialised_engine(self._trt, model, signature, self._recipe, folder)
        log.info("engine built", outputs=names, seconds=round(time.perf_counter() - started_s, 1), bytes=len(built))
        return built

    def _key(self, model: bytes, signature: Signature, folder: Path | None) -> str:
        recipe = self._recipe
        return key_of(
            model=[sha256_of(model), *(_sha256_of_file(folder, file) for file in signature.files)],
            library=[self._trt.__name__, self.version],
            gpu=[self._gpu.name, self._gpu.compute_capability],
            precision=recipe.precision,
            bounds=[[list(sizes) for sizes in recipe.bounds(port)] for port in signature.inputs],
            workspace_mb=recipe.workspace_mb,
        )


def _sha256_of_file(folder: Path | None, file: str) -> str:
    if folder is None:
        raise BackendError(f"the model keeps weights in {file}, and nobody said in which folder")
    digest = hashlib.sha256()
    try:
        with (folder / file).open("rb") as content:
            while block := content.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise BackendError(f"{folder / file}: the model's weights cannot be read ({error.strerror})") from error
    return digest.hexdigest()
