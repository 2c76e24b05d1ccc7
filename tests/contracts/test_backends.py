"""Whatever `BACKENDS` holds must do this."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from split_core import bundle
from split_core.backends import BACKENDS
from split_core.backends.base import Backend, Session
from split_core.backends.tensorrt import TensorRtBackend
from split_core.bundle import Bundle
from split_core.errors import BackendError, MissingExtra
from split_core.tensors import Array
from tests.split_core.backends.fake_cuda import FakeCuda
from tests.split_core.backends.fake_tensorrt import GENERATIONS
from tests.tiny import PREPROCESS, tiny_samples

# Those that need what most machines lack; there the same tests run on stand-ins for the libraries.
ON_GPU = {"tensorrt"}
STAND_INS = [f"tensorrt {generation}, stand-in" for generation in GENERATIONS]


@pytest.fixture(
    params=[pytest.param(name, marks=pytest.mark.gpu if name in ON_GPU else ()) for name in BACKENDS] + STAND_INS
)
def backend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Backend:
    if request.param in STAND_INS:
        trt = GENERATIONS[request.param.split()[1].rstrip(",")](FakeCuda())
        return TensorRtBackend(cache=tmp_path_factory.mktemp("engines"), trt=trt, cuda=trt.cuda)
    try:
        loaded: Backend = BACKENDS.load(request.param)()
    except (MissingExtra, BackendError) as error:
        if request.param not in ON_GPU:
            raise
        pytest.skip(str(error))
    return loaded


@pytest.fixture
def tiny(tiny_bundle: Path) -> Bundle:
    return bundle.load(tiny_bundle)


def sessions(backend: Backend, tiny: Bundle) -> list[Session]:
    return [backend.load(tiny.content(piece), threads=1) for piece in tiny.manifest.segments]


def images(count: int) -> Array:
    return PREPROCESS.tensor(tiny_samples(count)[0])


def chained(loaded: list[Session], tensors: list[Array]) -> list[Array]:
    for session in loaded:
        tensors = session.run(tensors)
    return tensors


def test_a_backend_says_what_it_is(backend: Backend) -> None:
    assert backend.name
    assert backend.version
    assert backend.shares_sessions in (True, False)


def test_inputs_and_outputs_are_those_of_the_manifest(backend: Backend, tiny: Bundle) -> None:
    for session, piece in zip(sessions(backend, tiny), tiny.manifest.segments, strict=True):
        assert (tuple(session.inputs), tuple(session.outputs)) == (piece.inputs, piece.outputs)


def test_segments_make_what_the_next_one_takes(backend: Backend, tiny: Bundle) -> None:
    tensors: list[Array] = [images(3)]
    for k, session in enumerate(sessions(backend, tiny)):
        specs = [tensor.spec for tensor in tiny.manifest.cuts[k].tensors]
        assert [spec.mismatch(tensor) for spec, tensor in zip(specs, tensors, strict=True)] == [None] * len(specs)
        tensors = session.run(tensors)
    assert tensors[0].shape == (3, len(tiny.manifest.labels))


def test_rows_of_a_batch_are_what_each_gives_alone(backend: Backend, tiny: Bundle) -> None:
    loaded, batch = sessions(backend, tiny), images(5)
    together = chained(loaded, [batch])[0]
    alone = np.concatenate([chained(loaded, [batch[i : i + 1]])[0] for i in range(5)])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)


def test_read_only_inputs_are_fine_and_stay_as_they_were(backend: Backend, tiny: Bundle) -> None:
    batch = images(2)
    before = batch.copy()
    batch.flags.writeable = False
    sessions(backend, tiny)[0].run([batch])
    np.testing.assert_array_equal(batch, before)


def test_the_caller_owns_the_outputs(backend: Backend, tiny: Bundle) -> None:
    session = sessions(backend, tiny)[0]
    first = session.run([images(2)])[0]
    kept = first.copy()
    session.run([images(2) * 0.0])
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((1, 2, 8, 8), np.float32), np.zeros((1, 1, 8, 8), np.float64), np.zeros((8, 8), np.float32)],
    ids=["channels", "dtype", "rank"],
)
def test_an_input_that_does_not_fit_is_a_backend_error(backend: Backend, tiny: Bundle, wrong: Array) -> None:
    session = sessions(backend, tiny)[0]
    with pytest.raises(BackendError):
        session.run([wrong])
    assert session.run([images(1)])[0].shape[0] == 1  # and it goes on


@pytest.mark.parametrize("model", [b"", b"not a model", bytes(1000)], ids=["empty", "text", "zeros"])
def test_what_is_no_model_is_a_backend_error(backend: Backend, model: bytes) -> None:
    with pytest.raises(BackendError):
        backend.load(model, threads=1)


def test_a_truncated_model_is_a_backend_error(backend: Backend, tiny: Bundle) -> None:
    content = tiny.content(tiny.manifest.segments[0])
    with pytest.raises(BackendError):
        backend.load(content[: len(content) // 2], threads=1)


def test_sessions_that_are_shared_give_every_thread_its_own_answer(backend: Backend, tiny: Bundle) -> None:
    if not backend.shares_sessions:
        pytest.skip("this backend loads a session per thread")
    loaded, batch = sessions(backend, tiny), images(24)
    wanted = [chained(loaded, [batch[i : i + 1]])[0] for i in range(24)]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda i: chained(loaded, [batch[i : i + 1]])[0], range(24), timeout=30))
    np.testing.assert_array_equal(np.concatenate(got), np.concatenate(wanted))
