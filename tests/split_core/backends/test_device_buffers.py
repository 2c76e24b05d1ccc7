from __future__ import annotations

import threading

import numpy as np
import pytest

from split_core.backends.device_buffers import Gpu, imported
from split_core.errors import BackendError, MissingExtra
from tests.split_core.backends.fake_cuda import FakeCuda


@pytest.fixture
def cuda() -> FakeCuda:
    return FakeCuda()


def test_a_gpu_says_what_it_is(cuda: FakeCuda):
    gpu = Gpu(cuda)
    assert (gpu.name, gpu.compute_capability) == ("Orin", "8.7")


def test_nothing_stays_current(cuda: FakeCuda):
    gpu = Gpu(cuda)
    assert cuda.depth == 0
    with gpu.active():
        assert cuda.depth == 1
    with pytest.raises(KeyError), gpu.active():
        raise KeyError("of the caller")
    assert cuda.depth == 0


def test_every_thread_may_enter(cuda: FakeCuda):
    gpu, depths = Gpu(cuda), []

    def enter() -> None:
        with gpu.active():
            depths.append(cuda.depth)
        depths.append(cuda.depth)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join(5)
    assert depths == [1, 0]


@pytest.mark.parametrize("reason", ["no CUDA-capable device\n is detected", "system not yet initialized"])
def test_a_missing_gpu_is_one_line(reason: str):
    with pytest.raises(BackendError, match="CUDA finds no GPU: cuInit failed") as caught:
        Gpu(FakeCuda(refuses=reason))
    assert "\n" not in str(caught.value)


def test_a_missing_library_names_its_extra():
    with pytest.raises(MissingExtra, match=r"'no_such_library'; run: pip install 'offramp\[tensorrt\]'"):
        imported("no_such_library.driver")


def test_a_library_that_lacks_its_own_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path):
    (tmp_path / "half_installed.py").write_text("raise ImportError('libcuda.so.1: cannot open\\n shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BackendError, match=r"is the NVIDIA driver installed\? libcuda.so.1: cannot open shared"):
        imported("half_installed")


def test_what_goes_up_comes_down_only_when_waited_for(cuda: FakeCuda):
    gpu = Gpu(cuda)
    sent = np.arange(12, dtype=np.float32).reshape(3, 4)
    with gpu.active():
        buffers = gpu.buffers()
        buffers.reserve("a", sent.nbytes)
        buffers.upload("a", sent)
        assert cuda.done == []
        got = buffers.download("a", "float32", (3, 4))
        buffers.wait()
        np.testing.assert_array_equal(got, sent)
    assert cuda.done == ["upload", "download"]


@pytest.mark.parametrize(
    "sent",
    [
        np.arange(24.0).reshape(4, 6)[:, ::2],
        np.asfortranarray(np.arange(6, dtype=np.int64).reshape(2, 3)),
        np.array([[True, False]]),
        np.float16(1.5).reshape(()),
    ],
    ids=["strided", "fortran", "bool", "scalar"],
)
def test_any_layout_arrives_as_it_reads(cuda: FakeCuda, sent: np.ndarray):
    gpu = Gpu(cuda)
    with gpu.active():
        buffers = gpu.buffers()
        buffers.reserve("a", sent.nbytes)
        buffers.upload("a", sent)
        got = buffers.download("a", sent.dtype.name, sent.shape)
        buffers.wait()
        np.testing.assert_array_equal(got, sent)


def test_a_buffer_grows_when_needed_and_is_never_made_anew_for_less(cuda: FakeCuda):
    gpu = Gpu(cuda)
    with gpu.active():
        buffers = gpu.buffers()
        first = buffers.reserve("a", 100)
        assert buffers.reserve("a", 50) == buffers.reserve("a", 100) == first
        assert cuda.allocations == 1
        buffers.reserve("a", 101)
        assert cuda.allocations == 2
        assert [memory.nbytes for memory in cuda.device_memory.values()] == [101]  # the old one is free


def test_buffers_of_two_names_are_two(cuda: FakeCuda):
    gpu = Gpu(cuda)
    with gpu.active():
        buffers = gpu.buffers()
        assert buffers.reserve("a", 0) != buffers.reserve("b", 0)


def test_a_full_gpu_is_one_line_and_what_was_there_can_still_be_had():
    gpu = Gpu(FakeCuda(room_bytes=1_000))
    with gpu.active():
        buffers = gpu.buffers()
    with pytest.raises(BackendError, match="CUDA on Orin: cuMemAlloc failed: out of memory"), gpu.active():
        buffers.reserve("a", 1_001)
    with gpu.active():
        assert buffers.reserve("a", 1_000)
