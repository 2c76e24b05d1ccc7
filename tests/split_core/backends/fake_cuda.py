"""A stand-in for `pycuda.driver` on a machine with no GPU: the third-party module, not our code.

It is strict where CUDA is: nothing works outside a pushed context, device memory is a range of its own that must have
been allocated, and what is enqueued happens when its stream is waited for, not before.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np


class FakeError(Exception):
    """`pycuda.driver.Error`."""


class Allocation:
    """`DeviceAllocation`; frees itself when forgotten."""

    def __init__(self, cuda: FakeCuda, size: int) -> None:
        self._cuda, self._memory = cuda, np.full(size, 0xA5, np.uint8)
        self.address = int(self._memory.ctypes.data)
        cuda.device_memory[self.address] = self._memory

    def __int__(self) -> int:
        return self.address

    def __del__(self) -> None:
        self._cuda.device_memory.pop(self.address, None)


class FakeCuda:
    """Called like the module.

    Args:
        refuses: what `init` fails with: "no driver" or so; None has one GPU.
        room_bytes: device memory in all.
    """

    Error = FakeError

    def __init__(self, *, name: str = "Orin", refuses: str | None = None, room_bytes: int = 1 << 30) -> None:
        self.gpu_name, self._refuses, self._room_bytes = name, refuses, room_bytes
        self.device_memory: dict[int, np.ndarray] = {}
        self.streams: dict[int, FakeStream] = {}
        self.stacks = threading.local()
        self.allocations = 0
        self.enqueued: list[str] = []
        self.done: list[str] = []

    def init(self) -> None:
        if self._refuses:
            raise FakeError(f"cuInit failed: {self._refuses}")

    def Device(self, index: int) -> FakeDevice:  # noqa: N802  (their name)
        assert index == 0
        return FakeDevice(self)

    def Stream(self) -> FakeStream:  # noqa: N802
        self.need_context()
        return FakeStream(self)

    def mem_alloc(self, size: int) -> Allocation:
        self.need_context()
        self.allocations += 1
        if size > self._room_bytes - sum(memory.nbytes for memory in self.device_memory.values()):
            raise FakeError("cuMemAlloc failed: out of memory")
        return Allocation(self, size)

    def pagelocked_empty(self, shape: int, dtype: type) -> np.ndarray:
        self.need_context()
        return np.full(shape, 0x5A, dtype)

    def memcpy_htod_async(self, target: Allocation, source: np.ndarray, stream: FakeStream) -> None:
        self.need_context()
        # Pinned memory is read when the stream gets there: whoever changed it meanwhile is seen.
        stream.enqueue("upload", lambda: np.copyto(self.memory(int(target), source.nbytes), source))

    def memcpy_dtoh_async(self, target: np.ndarray, source: Allocation, stream: FakeStream) -> None:
        self.need_context()
        address = int(source)
        stream.enqueue("download", lambda: np.copyto(target, self.memory(address, target.nbytes)))

    def memory(self, address: int, size: int) -> np.ndarray:
        """The device's bytes; an address or size that was not allocated is an illegal access."""
        block = self.device_memory.get(address)
        if block is None or block.nbytes < size:
            raise FakeError(f"an illegal memory access was encountered: {size} bytes at {address}")
        return block[:size]

    @property
    def depth(self) -> int:
        """Contexts on this thread's stack."""
        return getattr(self.stacks, "depth", 0)

    def need_context(self) -> None:
        if not self.depth:
            raise FakeError("invalid device context: no context is current in this thread")


class FakeDevice:
    def __init__(self, cuda: FakeCuda) -> None:
        self._cuda = cuda

    def name(self) -> str:
        return self._cuda.gpu_name

    def compute_capability(self) -> tuple[int, int]:
        return 8, 7

    def retain_primary_context(self) -> FakeContext:
        return FakeContext(self._cuda)


class FakeContext:
    """Retaining does not push."""

    def __init__(self, cuda: FakeCuda) -> None:
        self._cuda = cuda

    def push(self) -> None:
        self._cuda.stacks.depth = self._cuda.depth + 1

    def pop(self) -> None:
        self._cuda.need_context()
        self._cuda.stacks.depth -= 1


class FakeStream:
    """First in, first out, and only when it is waited for."""

    def __init__(self, cuda: FakeCuda) -> None:
        self._cuda = cuda
        self._waiting: list[tuple[str, Callable[[], None]]] = []
        self.handle = 0x1000 + len(cuda.streams)
        cuda.streams[self.handle] = self

    def enqueue(self, what: str, step: Callable[[], None]) -> None:
        self._cuda.enqueued.append(what)
        self._waiting.append((what, step))

    def synchronize(self) -> None:
        self._cuda.need_context()
        waiting, self._waiting = self._waiting, []
        for what, step in waiting:
            self._cuda.done.append(what)
            step()
