"""Our side of TensorRT, on stand-ins for `tensorrt` in three generations and for `pycuda.driver`.

The stand-ins run engines with onnxruntime on the addresses that they are given, so outputs are bit-equal to it exactly
when addresses, shapes, dtypes and the order on the stream are right.
"""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from cloud_runtime.config import Limits
from split_core.backends.tensorrt import TensorRtBackend
from split_core.backends.tensorrt_build import DEFAULT_RANGES
from split_core.errors import BackendError, ConfigError, MissingExtra
from tests.split_core.backends import pieces
from tests.split_core.backends.fake_cuda import FakeCuda
from tests.split_core.backends.fake_tensorrt import GENERATIONS, FakeTensorRt, Trt8, Trt10, Trt11

RANGES = {"sequence": (4, 16, 32)}


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def cuda() -> FakeCuda:
    return FakeCuda()


@pytest.fixture(params=list(GENERATIONS))
def trt(request: pytest.FixtureRequest, cuda: FakeCuda) -> FakeTensorRt:
    made: FakeTensorRt = GENERATIONS[request.param](cuda)
    return made


def backend(trt: FakeTensorRt, folder: Path, **options) -> TensorRtBackend:
    return TensorRtBackend(cache=folder, trt=trt, cuda=trt.cuda, **{"ranges": RANGES, **options})


def test_outputs_are_those_of_onnxruntime_to_the_bit(trt: FakeTensorRt, tmp_path: Path, rng):
    content = pieces.encoder(rng)
    session = backend(trt, tmp_path).load(content, threads=1)
    assert session.inputs == ("tokens", "mask", "unused")
    assert session.outputs == ("hidden", "mask", "loudest", "padding")
    for batch, sequence in [(1, 4), (8, 32), (3, 17), (1, 4)]:  # grows, then shrinks
        feeds = pieces.encoder_feeds(rng, batch, sequence)
        for got, wanted in zip(session.run(feeds), pieces.said_by_onnxruntime(content, feeds), strict=True):
            assert got.dtype == wanted.dtype
            np.testing.assert_array_equal(got, wanted)


def test_the_stream_sees_uploads_then_the_engine_then_downloads(trt: FakeTensorRt, tmp_path: Path, rng):
    session = backend(trt, tmp_path).load(pieces.encoder(rng), threads=1)
    trt.cuda.done.clear()
    session.run(pieces.encoder_feeds(rng, 2, 8))
    assert trt.cuda.done == ["upload"] * 2 + ["execute"] + ["download"] * 4  # nothing for the unused input


def test_the_caller_owns_the_outputs(trt: FakeTensorRt, tmp_path: Path, rng):
    session = backend(trt, tmp_path).load(pieces.linear(rng), threads=1)
    first = session.run([np.ones((2, 4), np.float32)])[0]
    kept = first.copy()
    session.run([np.zeros((2, 4), np.float32)])
    np.testing.assert_array_equal(first, kept)
    assert first.flags.owndata


def test_buffers_are_made_once_for_one_shape(trt: FakeTensorRt, tmp_path: Path, rng):
    session = backend(trt, tmp_path).load(pieces.linear(rng), threads=1)
    feeds = [np.ones((2, 4), np.float32)]
    session.run(feeds)
    before = trt.cuda.allocations
    session.run(feeds)
    session.run([feeds[0][:1]])
    assert trt.cuda.allocations == before


def test_a_session_may_run_in_another_thread_than_it_was_loaded_in(trt: FakeTensorRt, tmp_path: Path, rng):
    session, found = backend(trt, tmp_path).load(pieces.linear(rng), threads=1), []
    thread = threading.Thread(target=lambda: found.extend(session.run([np.ones((1, 4), np.float32)])))
    thread.start()
    thread.join(10)
    assert found[0].shape == (1, 3)
    assert trt.cuda.depth == 0


def test_two_sessions_do_not_share_buffers(trt: FakeTensorRt, tmp_path: Path, rng):
    loaded, content = backend(trt, tmp_path), pieces.linear(rng)
    first, second = loaded.load(content, threads=1), loaded.load(content, threads=1)
    feeds = [rng.normal(size=(2, 4)).astype(np.float32)], [rng.normal(size=(5, 4)).astype(np.float32)]
    for session, feed in [(first, feeds[0]), (second, feeds[1]), (first, feeds[0])]:
        np.testing.assert_array_equal(session.run(feed)[0], pieces.said_by_onnxruntime(content, feed)[0])
    assert len(trt.cuda.streams) == 2


@pytest.mark.parametrize(
    ("feeds", "said"),
    [
        ([], r"expected 3 inputs \(tokens, mask, unused\), got 0"),
        ([np.zeros((1, 8), np.int32), None, None], "'tokens': expected int64, got int32"),
        ([np.zeros((1, 8, 1), np.int64), None, None], "'tokens': expected .*, got"),
        ([np.zeros((17, 8), np.int64), None, None], "axis 0 must be batch from 1 to 16, see ranges, got 17"),
        ([np.zeros((0, 8), np.int64), None, None], "axis 0 must be batch from 1 to 16, see ranges, got 0"),
        ([np.zeros((1, 3), np.int64), None, None], "axis 1 must be sequence from 4 to 32, see ranges, got 3"),
        ([None, np.zeros((2, 9), bool), None], "'sequence' is 8 in another input, got 9"),
        ([None, None, np.zeros((2, 4), np.float32)], "axis 1 must be 3, got 4"),
    ],
    ids=["count", "dtype", "rank", "batch", "nothing", "sequence", "two sequences", "fixed axis"],
)
def test_what_does_not_fit_is_refused_before_anything_is_enqueued(
    trt: FakeTensorRt, tmp_path: Path, rng, feeds: list[np.ndarray | None], said: str
):
    session = backend(trt, tmp_path).load(pieces.encoder(rng), threads=1)
    good = pieces.encoder_feeds(rng, 2, 8)
    with pytest.raises(BackendError, match=said) as caught:
        session.run([there if wrong is None else wrong for wrong, there in zip(feeds, good, strict=False)])
    assert "\n" not in str(caught.value)
    assert trt.cuda.enqueued == []
    assert len(session.run(good)) == 4  # and it goes on


def test_without_int64_a_value_that_does_not_fit_is_refused(cuda: FakeCuda, tmp_path: Path, rng):
    session = backend(Trt8(cuda), tmp_path).load(pieces.encoder(rng), threads=1)
    feeds = pieces.encoder_feeds(rng, 1, 4)
    feeds[0][0, 0] = 2**31
    with pytest.raises(BackendError, match="'tokens': this TensorRT has no int64"):
        session.run(feeds)


def test_double_precision_is_narrowed_and_comes_out_as_the_model_says(trt: FakeTensorRt, tmp_path: Path):
    double = pieces.TensorProto.DOUBLE
    content = pieces.model(
        [pieces.helper.make_node("Neg", ["x"], ["y"])],
        [pieces.value("x", double, "batch", 2)],
        [pieces.value("y", double, "batch", 2)],
    )
    got = backend(trt, tmp_path).load(content, threads=1).run([np.array([[0.5, 1.25]])])[0]
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got, [[-0.5, -1.25]])


def test_a_shape_that_depends_on_values_is_refused(trt: FakeTensorRt, tmp_path: Path):
    content = pieces.model(
        [pieces.helper.make_node("NonZero", ["x"], ["where"])],
        [pieces.value("x", pieces.FLOAT, "batch")],
        [pieces.value("where", pieces.INT64, 1, "found")],
    )
    session = backend(trt, tmp_path).load(content, threads=1)
    with pytest.raises(BackendError, match=r"'where': its shape \(1, -1\) depends on values; cut elsewhere"):
        session.run([np.ones(3, np.float32)])


def test_a_shape_on_the_host_is_refused_by_name(trt: FakeTensorRt, tmp_path: Path):
    content = pieces.model(
        [pieces.helper.make_node("Reshape", ["x", "shape"], ["y"])],
        [pieces.value("x", pieces.FLOAT, "batch", 4), pieces.value("shape", pieces.INT64, 2)],
        [pieces.value("y", pieces.FLOAT, "a", "b")],
    )
    with pytest.raises(BackendError, match="'shape' holds a shape, which TensorRT keeps on the host"):
        backend(trt, tmp_path).load(content, threads=1)


def test_a_gpu_that_fills_up_is_one_line_and_smaller_batches_go_on(tmp_path: Path, rng):
    session = backend(Trt10(FakeCuda(room_bytes=200)), tmp_path).load(pieces.linear(rng), threads=1)
    with pytest.raises(BackendError, match="out of memory"):
        session.run([np.ones((8, 4), np.float32)])
    assert session.run([np.ones((1, 4), np.float32)])[0].shape == (1, 3)


# What is kept on disk.


def test_an_engine_is_built_once(trt: FakeTensorRt, tmp_path: Path, rng):
    content = pieces.linear(rng)
    for _ in range(2):
        again = backend(trt, tmp_path)
        assert again.load(content, threads=1).run([np.ones((1, 4), np.float32)])
    assert len(trt.builds) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"precision": "fp16"},
        {"ranges": {"batch": (1, 2, 8)}},
        {"workspace_mb": 64},
        {"gpu": "Xavier"},
        {"version": "10.4.0"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_precision_range_gpu_or_version_has_its_own_engine(tmp_path: Path, rng, change: dict):
    content = pieces.linear(rng)
    backend(Trt10(FakeCuda()), tmp_path).load(content, threads=1)
    other = Trt10(FakeCuda(name=change.pop("gpu", "Orin")), version=change.pop("version", "10.3.0"))
    backend(other, tmp_path, **change).load(content, threads=1)
    assert len(other.builds) == 1
    assert len(list(tmp_path.glob("*.engine"))) == 2


def test_a_damaged_engine_is_built_again(trt: FakeTensorRt, tmp_path: Path, rng):
    content = pieces.linear(rng)
    backend(trt, tmp_path).load(content, threads=1)
    (file,) = tmp_path.iterdir()
    good = file.read_bytes()
    file.write_bytes(good[: len(good) // 2])
    backend(trt, tmp_path).load(content, threads=1)
    assert file.read_bytes() == good


def test_an_engine_of_another_machine_is_built_again(cuda: FakeCuda, tmp_path: Path, rng):
    content = pieces.linear(rng)
    foreign, here = Trt10(FakeCuda(name="Xavier")), Trt10(cuda)
    backend(foreign, tmp_path / "theirs").load(content, threads=1)
    backend(here, tmp_path / "ours").load(content, threads=1)
    (theirs,), (ours,) = (tmp_path / "theirs").iterdir(), (tmp_path / "ours").iterdir()
    ours.write_bytes(theirs.read_bytes())  # somebody copied a folder and renamed the files
    assert backend(here, tmp_path / "ours").load(content, threads=1).run([np.ones((1, 4), np.float32)])
    assert len(here.builds) == 2


def test_a_cache_that_cannot_be_written_costs_a_build_and_nothing_else(trt: FakeTensorRt, tmp_path: Path, rng):
    (tmp_path / "file").write_text("no folder")
    session = backend(trt, tmp_path / "file").load(pieces.linear(rng), threads=1)
    assert session.run([np.ones((1, 4), np.float32)])


def test_weights_outside_of_the_model_are_found_and_are_part_of_the_key(trt: FakeTensorRt, tmp_path: Path, rng):
    content = pieces.with_weights_outside(rng, tmp_path)
    loaded, feeds = backend(trt, tmp_path / "engines"), [np.ones((2, 4), np.float32)]
    first = loaded.load(content, threads=1, folder=tmp_path).run(feeds)[0]
    weights = tmp_path / "piece.weights"
    doubled = np.frombuffer(weights.read_bytes(), np.float32) * 2
    weights.write_bytes(doubled.tobytes())
    np.testing.assert_array_equal(loaded.load(content, threads=1, folder=tmp_path).run(feeds)[0], 2 * first)


def test_weights_that_are_missing_are_named(trt: FakeTensorRt, tmp_path: Path, rng):
    content = pieces.with_weights_outside(rng, tmp_path)
    with pytest.raises(BackendError, match=r"keeps weights in piece\.weights, and nobody said in which folder"):
        backend(trt, tmp_path).load(content, threads=1)
    (tmp_path / "piece.weights").unlink()
    with pytest.raises(BackendError, match=r"piece\.weights: the model's weights cannot be read"):
        backend(trt, tmp_path).load(content, threads=1, folder=tmp_path)


# What is missing.


def test_a_missing_driver_is_one_line_and_nothing_of_tensorrt_was_made(tmp_path: Path):
    trt = Trt11(FakeCuda(refuses="no CUDA-capable device is detected"))
    with pytest.raises(BackendError, match="CUDA finds no GPU: cuInit failed: no CUDA-capable device is detected"):
        backend(trt, tmp_path)
    assert trt.logger is None


def test_without_its_libraries_it_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", None)
    with pytest.raises(MissingExtra, match=r"'tensorrt'; run: pip install 'offramp\[tensorrt\]'"):
        TensorRtBackend(cache=tmp_path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"precision": "fp8"}, "precision: expected one of fp32, fp16, got 'fp8'"),
        ({"precision": "int8"}, "int8 is a matter of the pieces"),
        ({"ranges": {"batch": (1, 4)}}, "ranges.batch: expected"),
        ({"ranges": {"batch": (4, 2, 8)}}, "ranges.batch: expected"),
        ({"ranges": {"batch": (0, 1, 8)}}, "ranges.batch: expected"),
        ({"ranges": {"batch": 8}}, "ranges.batch: expected"),
        ({"ranges": 8}, "ranges: expected sizes by name"),
        ({"workspace_mb": 0}, "workspace_mb: expected a whole number from 1, got 0"),
        ({"workspace_mb": "much"}, "workspace_mb: expected a whole number from 1, got 'much'"),
    ],
    ids=["precision", "int8", "two sizes", "falling", "zero", "a number", "no names", "workspace", "a word"],
)
def test_options_that_cannot_be_are_config_errors(tmp_path: Path, cuda: FakeCuda, options: dict, said: str):
    with pytest.raises(ConfigError, match=said):
        backend(Trt10(cuda), tmp_path, **options)


def test_a_dynamic_size_without_a_range_says_what_to_give(trt: FakeTensorRt, tmp_path: Path, rng):
    with pytest.raises(BackendError, match=r"'tokens': .*'sequence'.* ranges: {sequence: \[smallest"):
        backend(trt, tmp_path, ranges=None).load(pieces.encoder(rng), threads=1)
    assert trt.builds == []


def test_as_many_rows_as_a_worker_batches_fit_without_being_asked_for():
    assert DEFAULT_RANGES["batch"][2] >= Limits().max_batch_size
