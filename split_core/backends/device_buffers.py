"""CUDA through pycuda: one GPU, and buffers on it for one session.  Nothing else here knows of pycuda.

A context is current per thread, so nothing is left current: whoever computes enters `Gpu.active` and leaves it.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from split_core.errors import BackendError, MissingExtra
from split_core.tensors import Array

EXTRA = "run: pip install 'offramp[tensorrt]'"


def imported(module: str) -> Any:
    """A library of the extra.

    Raises:
        MissingExtra: it is not installed.
        BackendError: it is, and the libraries that it stands on are not.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtra(f"backend 'tensorrt' needs the module {error.name!r}; {EXTRA}") from error
    except (ImportError, OSError) as error:  # pycuda finds no libcuda.so.1; tensorrt no libnvonnxparser
        raise BackendError(f"{module} cannot be loaded, is the NVIDIA driver installed? {_one_line(error)}") from error


class Gpu:
    """The first GPU that CUDA shows, in its primary context, which TensorRT uses as well.

    Args:
        cuda: the module `pycuda.driver`; None imports it.

    Attributes:
        name: such as "Orin".
        compute_capability: such as "8.7".

    Raises:
        MissingExtra: pycuda is not installed.
        BackendError: there is no driver or no GPU.
    """

    def __init__(self, cuda: Any = None) -> None:
        # Not pycuda.autoinit: it makes a context of its own, current for ever in whatever thread imports it.
        self._cuda = imported("pycuda.driver") if cuda is None else cuda
        try:
            self._cuda.init()
            device = self._cuda.Device(0)
            self._context = device.retain_primary_context()
        except self._cuda.Error as error:
            raise BackendError(f"CUDA finds no GPU: {_one_line(error)}") from error
        self.name: str = device.name()
        self.compute_capability = ".".join(str(part) for part in device.compute_capability())

    @contextmanager
    def active(self) -> Iterator[None]:
        """Make the context current in this thread while the block runs.

        Raises:
            BackendError: CUDA fails inside, such as for want of memory.
        """
        try:
            self._context.push()
            try:
                yield
            finally:
                self._context.pop()
        except self._cuda.Error as error:
            raise BackendError(f"CUDA on {self.name}: {_one_line(error)}") from error

    def buffers(self) -> DeviceBuffers:
        """A stream with no buffers yet; inside `active`."""
        return DeviceBuffers(self._cuda)


class DeviceBuffers:
    """Pairs of pinned host memory and device memory by tensor name, and the stream that copies between them.

    Everything is called inside `Gpu.active`.  Copies are in the stream's order, done only after `wait`.
    """

    def __init__(self, cuda: Any) -> None:
        self._cuda = cuda
        self._stream = cuda.Stream()
        self._pairs: dict[str, tuple[Array, Any]] = {}

    @property
    def stream(self) -> int:
        """The `cudaStream_t` as a number."""
        return int(self._stream.handle)

    def reserve(self, name: str, size_bytes: int) -> int:
        """Device address of at least this many bytes; it stays the same until a call asks for more."""
        pair = self._pairs.get(name)
        if pair is None or pair[0].nbytes < size_bytes:
            # Free before allocating: on a Jetson both live in the memory that the camera uses.
            del pair
            self._pairs.pop(name, None)
            size_bytes = max(size_bytes, 1)
            self._pairs[name] = self._cuda.pagelocked_empty(size_bytes, np.uint8), self._cuda.mem_alloc(size_bytes)
        return int(self._pairs[name][1])

    def upload(self, name: str, array: Array) -> None:
        """Enqueue a copy to the device; `array` itself is read before this returns."""
        pinned, device = self._pairs[name]
        part = pinned[: array.nbytes]
        np.copyto(part.view(array.dtype).reshape(array.shape), array)
        self._cuda.memcpy_htod_async(device, part, self._stream)

    def download(self, name: str, dtype: str, shape: Sequence[int]) -> Array:
        """Enqueue a copy from the device; the result is filled by `wait` and overwritten by the next run."""
        pinned, device = self._pairs[name]
        part = pinned[: math.prod(shape) * np.dtype(dtype).itemsize]
        self._cuda.memcpy_dtoh_async(part, device, self._stream)
        return part.view(dtype).reshape(tuple(shape))

    def wait(self) -> None:
        """Until everything enqueued is done."""
        self._stream.synchronize()


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
