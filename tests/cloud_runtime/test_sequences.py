"""Requests whose tensors have dynamic axes: what may run together, and what is refused."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_runtime.config import Limits
from cloud_runtime.engine import run_batch
from cloud_runtime.exchange import Exchange
from cloud_runtime.models import Model, known_codecs, load_model
from split_core import wire
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.codecs import CODECS
from split_core.errors import BundleError, WireError
from split_core.files import canonical_json, sha256_of
from split_core.manifest import FORMAT, Manifest
from split_core.telemetry.metrics import CloudMetrics
from split_core.tensors import Array

WIDTH, MAX_LENGTH = 3, 64


class Doubling:
    """A segment that doubles its hidden state and hands its mask on; the last one sums up to logits."""

    def __init__(self, *, last: bool) -> None:
        self.inputs = ("hidden", "mask")
        self.outputs = ("logits",) if last else self.inputs
        self.last, self.fed = last, list[tuple[tuple[int, ...], ...]]()

    def run(self, feeds: Sequence[Array]) -> list[Array]:
        self.fed.append(tuple(feed.shape for feed in feeds))
        hidden, mask = feeds
        if not self.last:
            return [hidden * np.float32(2.0), mask]
        return [(hidden * mask[..., None]).sum(axis=1)[:, :2].astype(np.float32)]


def text_manifest(*, batch: int | None = None, labels: list[str] | None = None) -> Manifest:
    piece = {"file": "x", "sha256": "0" * 64, "bytes": 0}
    names = ["hidden", "mask"]
    tensors = [
        {"name": "hidden", "dtype": "float32", "shape": [batch, "sequence", WIDTH]},
        {"name": "mask", "dtype": "int64", "shape": [batch, "sequence"]},
    ]
    return Manifest.model_validate(
        {
            "format": FORMAT,
            "name": "text",
            "version": "1",
            "labels": labels or ["a", "b"],
            "preprocess": {"tokeniser": "org/name", "max_length": MAX_LENGTH},
            "heads": [{**piece, "inputs": ["hidden"], "outputs": ["exit_1"]}],
            "cuts": [{"index": k, "tensors": tensors} for k in (0, 1)],
            "segments": [
                {**piece, "inputs": names, "outputs": names},
                {**piece, "inputs": names, "outputs": ["logits"]},
            ],
            "outputs": [{"name": "logits", "dtype": "float32", "shape": [batch, 2]}],
            "axes": {"sequence": [4, 9]},
        }
    )


def text_model(batch: int | None = None) -> tuple[Model, list[Doubling]]:
    sessions = [Doubling(last=False), Doubling(last=True)]
    return Model(text_manifest(batch=batch), [sessions], known_codecs()), sessions


def arrays(length: int, rows: int = 1, seed: int = 0) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(rows, length, WIDTH)).astype(np.float32), rng.integers(0, 2, (rows, length))]


def offload(model: Model, number: int, tensors: Sequence[Array], cut: int = 0) -> wire.Offload:
    raw = CODECS.load("raw")()
    return wire.Offload(number, model.id, cut, "raw", 1000.0, tuple(raw.encode(tensor) for tensor in tensors))


def exchange_of(model: Model) -> Exchange:
    return Exchange(
        {model.id: model}, {model.id: [0.001] * model.exits}, Limits(), name="desk", engines=1, metrics=CloudMetrics()
    )


def play(model: Model, messages: Sequence[wire.Offload]) -> list[wire.Verdict]:
    """What a worker with one engine answers when all of these wait at once."""
    exchange = exchange_of(model)
    for message in messages:
        exchange.receive(b"door", [bytes(frame) for frame in wire.encode(message)], 0.0)
    while (batch := exchange.next_batch(0.0)) is not None:
        exchange.finish(batch, run_batch(model, batch, 0, lambda: 0.0), 0.0)
    answers = [answer for _, answer in exchange.replies()]
    assert all(isinstance(answer, wire.Verdict) for answer in answers), answers
    return answers  # type: ignore[return-value]


def alone(tensors: Sequence[Array]) -> Array:
    hidden, mask = tensors
    return (2.0 * hidden * mask[..., None]).sum(axis=1)[:, :2].astype(np.float32)


def test_two_lengths_at_one_segment_are_never_concatenated() -> None:
    model, [first, last] = text_model()
    play(model, [offload(model, 1, arrays(5)), offload(model, 2, arrays(7))])
    assert sorted(first.fed) == sorted(last.fed) == [((1, 5, WIDTH), (1, 5)), ((1, 7, WIDTH), (1, 7))]


def test_equal_lengths_run_together_from_where_they_meet() -> None:
    model, [first, last] = text_model()
    play(model, [offload(model, 1, arrays(5)), offload(model, 2, arrays(7)), offload(model, 3, arrays(5))])
    assert sorted(first.fed) == sorted(last.fed) == [((1, 7, WIDTH), (1, 7)), ((2, 5, WIDTH), (2, 5))]


def test_a_fixed_batch_of_one_runs_row_by_row() -> None:
    model, [first, last] = text_model(batch=1)
    play(model, [offload(model, number, arrays(5)) for number in range(3)])
    assert first.fed == last.fed == [((1, 5, WIDTH), (1, 5))] * 3


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(0, 1)), min_size=1, max_size=12))
def test_everyone_gets_the_answer_that_it_would_get_alone(asked: list[tuple[int, int, int]]) -> None:
    model, _ = text_model()
    tensors = [arrays(length, rows, seed) for seed, (length, rows, _) in enumerate(asked)]
    doubled = [
        [2 * hidden, mask] if cut else [hidden, mask]
        for (hidden, mask), (_, _, cut) in zip(tensors, asked, strict=True)
    ]
    messages = [offload(model, k, doubled[k], cut) for k, (_, _, cut) in enumerate(asked)]
    answers = {verdict.request_id: verdict for verdict in play(model, messages)}
    assert sorted(answers) == list(range(len(asked)))
    for number, pair in enumerate(tensors):
        got = np.frombuffer(answers[number].logits, np.float32).reshape(-1, 2)
        np.testing.assert_allclose(got, alone(pair), rtol=1e-5, atol=1e-5)


def test_one_axis_has_one_length_in_all_tensors_of_a_request() -> None:
    model, _ = text_model()
    hidden, mask = arrays(5)
    with pytest.raises(WireError, match="axis 'sequence' is 4 long here and 5 elsewhere"):
        model.rows_of(offload(model, 1, [hidden, mask[:, :4]]))


def test_a_length_passes_up_to_the_tokenisers_and_another_width_never_does() -> None:
    model, _ = text_model()
    assert model.rows_of(offload(model, 1, arrays(MAX_LENGTH, 2))) == 2
    with pytest.raises(WireError, match="axis 'sequence' is 65 long, at most 64 is expected"):
        model.rows_of(offload(model, 1, arrays(MAX_LENGTH + 1)))
    hidden, mask = arrays(5)
    with pytest.raises(WireError, match="expected float32"):
        model.rows_of(offload(model, 1, [hidden[:, :, :2], mask]))


def test_a_rehearsal_runs_at_the_longest_length_that_was_proved() -> None:
    model, [first, _] = text_model()
    ticks = itertools.count()
    assert model.rehearse(lambda: float(next(ticks))) == [1.0, 1.0]
    assert set(first.fed) == {((1, 9, WIDTH), (1, 9))}


def test_fixed_shapes_cost_nothing_to_tell_apart(tiny_bundle: Path) -> None:
    model = load_model(tiny_bundle, OnnxRuntimeBackend(), threads=1, engines=1)
    assert [model.row_shapes(segment, [(1, 2, 3)]) for segment in (1, 2, 3)] == [(), (), ()]


def test_a_network_without_class_logits_is_refused_at_load_in_one_line(tiny_copy: Path) -> None:
    without_labels(tiny_copy)
    with pytest.raises(BundleError) as caught:
        load_model(tiny_copy, OnnxRuntimeBackend(), threads=1, engines=1)
    assert str(caught.value).startswith(f"{tiny_copy}: gives no class logits; ")


def without_labels(folder: Path) -> None:
    """Make a bundle one that gives no class logits, as the partitioner writes those."""
    document: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    document["manifest"].update(labels=None, heads=[])
    shutil.rmtree(folder / "heads")
    manifest = Manifest.model_validate(document["manifest"])
    certificate = json.loads((folder / "certificate.json").read_text())
    proof = canonical_json({**certificate, "bundle_id": manifest.id})
    (folder / "certificate.json").write_bytes(proof)
    document.update(id=manifest.id, certificate_sha256=sha256_of(proof))
    (folder / "manifest.json").write_text(json.dumps(document))
