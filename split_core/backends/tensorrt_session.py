"""One loaded engine: checks what goes in, copies it to the device, runs it, copies what comes out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from split_core.backends.device_buffers import DeviceBuffers, Gpu
from split_core.backends.onnx_signature import Port, Signature
from split_core.backends.tensorrt_bindings import Binding, bindings
from split_core.backends.tensorrt_build import Recipe
from split_core.backends.tensorrt_log import log_of
from split_core.errors import BackendError
from split_core.tensors import ITEM_BYTES, Array

Shape = tuple[int, ...]


class TensorRtSession:
    """See `Session`.  For one thread at a time; it need not be the one that loaded it.

    Args:
        trt: the module.
        gpu: where the engine lives.
        engine: deserialised.
        signature: of the ONNX model that it was made from; decides over names, order and dtypes.
        recipe: its ranges bound the sizes.

    Raises:
        BackendError: the engine is not one of this model, or has no memory to run in.
    """

    def __init__(self, trt: Any, gpu: Gpu, engine: Any, *, signature: Signature, recipe: Recipe) -> None:
        self.inputs = tuple(port.name for port in signature.inputs)
        self.outputs = tuple(port.name for port in signature.outputs)
        self._takes, self._makes = bindings(trt, engine, signature)
        self._bounds = [recipe.bounds(port) for port in signature.inputs]
        self._log, self._gpu, self._engine = log_of(trt), gpu, engine
        with gpu.active():
            self._context = engine.create_execution_context()
            if self._context is None:
                raise BackendError(f"TensorRT has no room to run {', '.join(self.outputs)}: {self._log.last()}")
            self._buffers: DeviceBuffers = gpu.buffers()

    def run(self, feeds: Sequence[Array]) -> list[Array]:
        """See `Session.run`."""
        arrays = self._checked(feeds)
        with self._gpu.active():
            shapes = self._shapes(arrays)
            self._bind(arrays, shapes)
            return self._executed(arrays, shapes)

    def _checked(self, feeds: Sequence[Array]) -> list[tuple[Binding, Array]]:
        """What the engine takes, in its dtypes; nothing has touched the device when this refuses."""
        if len(feeds) != len(self.inputs):
            raise BackendError(f"expected {len(self.inputs)} inputs ({', '.join(self.inputs)}), got {len(feeds)}")
        sizes: dict[str, int] = {}
        for binding, bounds, feed in zip(self._takes, self._bounds, feeds, strict=True):
            if feed.dtype != binding.port.dtype:
                raise BackendError(f"input {binding.port.name!r}: expected {binding.port.dtype}, got {feed.dtype}")
            _check_shape(binding.port, bounds, feed.shape, sizes)
        used = [pair for pair in zip(self._takes, feeds, strict=True) if pair[0].used]
        return [(binding, _narrowed(binding, feed)) for binding, feed in used]

    def _shapes(self, arrays: Sequence[tuple[Binding, Array]]) -> list[Shape]:
        """Tell the engine the shapes of its inputs; it says those of its outputs."""
        for binding, array in arrays:
            if not self._context.set_input_shape(binding.tensor, array.shape):
                raise BackendError(f"TensorRT refuses {array.shape} for {binding.port.name!r}: {self._log.last()}")
        shapes = [tuple(self._context.get_tensor_shape(binding.tensor)) for binding in self._makes]
        for binding, shape in zip(self._makes, shapes, strict=True):
            if any(size < 0 for size in shape):
                raise BackendError(f"output {binding.port.name!r}: its shape {shape} depends on values; cut elsewhere")
        return shapes

    def _bind(self, arrays: Sequence[tuple[Binding, Array]], shapes: Sequence[Shape]) -> None:
        """Buffers for all, before anything is enqueued: growing one frees the old, which must not be in use."""
        sizes = [(binding, array.nbytes) for binding, array in arrays]
        for binding, shape in zip(self._makes, shapes, strict=True):
            sizes.append((binding, math.prod(shape) * ITEM_BYTES[binding.dtype]))
        for binding, size_bytes in sizes:
            address = self._buffers.reserve(binding.tensor, size_bytes)
            if not self._context.set_tensor_address(binding.tensor, address):
                raise BackendError(f"TensorRT refuses the address of {binding.port.name!r}: {self._log.last()}")

    def _executed(self, arrays: Sequence[tuple[Binding, Array]], shapes: Sequence[Shape]) -> list[Array]:
        try:
            for binding, array in arrays:
                self._buffers.upload(binding.tensor, array)
            if not self._context.execute_async_v3(self._buffers.stream):
                raise BackendError(f"TensorRT cannot run {', '.join(self.outputs)}: {self._log.last()}")
            views = [
                self._buffers.download(binding.tensor, binding.dtype, shape)
                for binding, shape in zip(self._makes, shapes, strict=True)
            ]
        finally:
            # Also when it fails: the next run writes into the pinned memory that the uploads read.
            self._buffers.wait()
        # Copies: a hidden state outlives this call, the pinned memory is overwritten by the next.
        return [view.astype(binding.port.dtype) for view, binding in zip(views, self._makes, strict=True)]


def _check_shape(
    port: Port, bounds: Sequence[tuple[int, int, int]], shape: tuple[int, ...], sizes: dict[str, int]
) -> None:
    """Refuse a shape that the engine was not built for; `sizes` collects what each name stands for in this run."""
    if len(shape) != len(port.shape):
        raise BackendError(f"input {port.name!r}: expected {port.shape}, got {shape}")
    for axis, (said, got, (low, _, high)) in enumerate(zip(port.shape, shape, bounds, strict=True)):
        if not low <= got <= high:
            wanted = f"{said} from {low} to {high}, see ranges" if isinstance(said, str) else str(said)
            raise BackendError(f"input {port.name!r} {shape}: axis {axis} must be {wanted}, got {got}")
        if isinstance(said, str) and sizes.setdefault(said, got) != got:
            raise BackendError(f"input {port.name!r} {shape}: {said!r} is {sizes[said]} in another input, got {got}")


def _narrowed(binding: Binding, feed: Array) -> Array:
    if binding.dtype == binding.port.dtype:
        return feed
    if binding.dtype == "int32" and feed.size:
        limits = np.iinfo(np.int32)
        if feed.min() < limits.min or feed.max() > limits.max:
            raise BackendError(f"input {binding.port.name!r}: this TensorRT has no int64, and a value exceeds int32")
    return feed.astype(binding.dtype)
