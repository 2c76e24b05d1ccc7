from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from split_core import traces
from split_core.errors import TraceError
from split_core.shown import no_tokens
from split_core.traces import Traces


def made(samples: int = 5) -> Traces:
    rng = np.random.default_rng(0)
    return Traces(
        rng.random((samples, 2)),
        rng.integers(0, 3, (samples, 2)),
        rng.integers(0, 3, samples),
        rng.normal(size=(samples, 2, 3)).astype(np.float32),
        rng.integers(1, 99, (samples, 2)),
        "ab" * 32,
        (rng.normal(size=(samples, 4)).astype(np.float32),),
        rng.integers(-1, 9, (samples, 6)).astype(np.int32),
    )


def test_a_trace_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = made()
    traces.save(written, tmp_path / "t.npz")
    read = traces.load(tmp_path / "t.npz")
    for name in ("confidence", "prediction", "labels", "logits", "payload_bytes", "tokens"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
    assert read.bundle_id == written.bundle_id
    assert len(read.hidden) == 1
    np.testing.assert_array_equal(read.hidden[0], written.hidden[0])


def test_a_trace_of_an_older_version_is_read(tmp_path: Path) -> None:
    written = replace(made(), hidden=(), tokens=no_tokens())
    traces.save(written, tmp_path / "t.npz")
    with np.load(tmp_path / "t.npz") as file:
        older = {name: file[name] for name in file.files if name != "tokens" and not name.startswith("hidden")}
    np.savez_compressed(tmp_path / "older.npz", **older)
    read = traces.load(tmp_path / "older.npz")
    assert (read.hidden, read.tokens.size) == ((), 0)
    np.testing.assert_array_equal(read.confidence, written.confidence)


def test_rows_are_rows_of_everything() -> None:
    part = made().rows(np.array([3, 1]))
    np.testing.assert_array_equal(part.hidden[0], made().hidden[0][[3, 1]])
    np.testing.assert_array_equal(part.tokens, made().tokens[[3, 1]])


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"hidden": (np.zeros((5, 4), np.float32),) * 2}, "hidden states of 1 exits, got 2"),
        ({"hidden": (np.zeros((4, 4), np.float32),)}, "hidden_1 must be"),
        ({"hidden": (np.zeros((5, 4), np.int64),)}, "hidden_1 must be"),
        ({"tokens": np.zeros((4, 2), np.int32)}, "tokens must be"),
    ],
)
def test_states_and_tokens_must_fit_the_samples(changed: dict[str, object], words: str) -> None:
    with pytest.raises(TraceError, match=words):
        replace(made(), **changed)


@settings(deadline=None)  # a machine at work elsewhere writes files slowly
@given(cut=st.floats(0, 1), damage=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6))
def test_any_damaged_file_gives_a_trace_or_a_trace_error(
    tmp_path_factory: pytest.TempPathFactory, cut: float, damage: list[tuple[float, int]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged-trace.npz"
    traces.save(made(), path)
    data = bytearray(path.read_bytes())
    for place, byte in damage:
        data[int(place * (len(data) - 1))] = byte
    path.write_bytes(bytes(data[: int(len(data) * cut)] if cut < 0.5 else data))
    with suppress(TraceError):
        assert traces.load(path).samples == 5


def test_a_single_array_and_an_absent_file_are_no_traces(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.zeros(3))
    for name in ("one.npy", "absent.npz"):
        with pytest.raises(TraceError, match="record one with 'offramp trace'"):
            traces.load(tmp_path / name)
