"""A text bundle on a device and at a worker: the same tokeniser, the same ids, the same answers."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tokenizers")

from edge_runtime.frames.prefix import Prefix, Run
from edge_runtime.frames.raw import Raw
from edge_runtime.profiling import profile
from edge_runtime.sources.choose import items, source_for
from partitioner.calibrate.record import record
from partitioner.chain import Chain
from partitioner.data import samples_of
from split_core import bundle as bundles
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.bundle import Bundle
from split_core.criteria.build import make_criterion
from split_core.errors import BundleError, DataError, SourceError
from split_core.policy import CodecSection
from split_core.readings import ExitCalibration, Reader
from tests.text_world import lines, text_bundle, tokenizer_json, write_tsv


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundles.load(text_bundle(tmp_path_factory.mktemp("text")))


def run_through(prefix: Prefix, text: str) -> Run:
    run = prefix.start(text)
    while run.depth < prefix.exits:
        run.deepen()
    return run


def test_the_bundle_holds_its_tokeniser_and_its_hash(bundle: Bundle) -> None:
    held = bundle.manifest.tokeniser
    assert held is not None
    assert (bundle.root / held.file).read_bytes() == tokenizer_json()
    assert held.sha256 == bundle.manifest.preprocess.sha256


def test_another_tokeniser_than_the_manifest_names_is_refused(tmp_path: Path) -> None:
    root = text_bundle(tmp_path)
    (root / "tokenizer.json").write_bytes(tokenizer_json().replace(b"lovely", b"lousy!"))
    with pytest.raises(BundleError, match=r"tokenizer\.json: sha256 is"):
        bundles.load(root)


def test_a_text_is_answered_at_every_depth(bundle: Bundle) -> None:
    prefix = Prefix(bundle, OnnxRuntimeBackend())
    for text, label in lines(20):
        assert int(np.argmax(run_through(prefix, text).logits())) == label


def test_hidden_state_and_mask_cross_every_cut(bundle: Bundle) -> None:
    run = run_through(Prefix(bundle, OnnxRuntimeBackend()), "a fine film")
    for cut in (1, 2):
        hidden, mask = run.tensors(cut)
        assert (hidden.shape, mask.shape, mask.dtype) == ((1, 5, 6), (1, 5), np.int64)
    np.testing.assert_array_equal(run.tensors(0)[0], [[2, 10, 4, 11, 3]])


def test_a_picture_is_no_frame_for_a_text_network(bundle: Bundle) -> None:
    with pytest.raises(DataError, match="expected a text"):
        Prefix(bundle, OnnxRuntimeBackend()).start(np.zeros((4, 4, 3), np.uint8))


def test_a_text_is_no_frame_for_a_picture_network(tiny_bundle: Path) -> None:
    with pytest.raises(DataError, match="got the text 'a film'"):
        Prefix(bundles.load(tiny_bundle), OnnxRuntimeBackend()).start("a film")


def test_a_tsv_gives_a_text_a_line(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "x.tsv", [("a film", 1), ("dull", 0), ("warm", 1)], header="text\tlabel\n")
    assert items(path, 9) == ["a film", "dull", "warm"]
    some = source_for(path, start=1, stop=2, loop=True)
    assert [some.read() for _ in range(3)] == ["dull"] * 3
    with pytest.raises(SourceError, match="no texts in it"):
        source_for(path, start=7).read()


def test_a_text_network_is_profiled_with_texts(bundle: Bundle) -> None:
    texts = [text for text, _ in lines(20)]
    codecs = CodecSection.usual(bundle.intake())
    measured = profile(bundle, OnnxRuntimeBackend(), texts, name="desk", codecs=codecs)
    assert [payload.codec for payload in measured.payloads] == ["tokens", "u8z", "u8z"]
    assert measured.payloads[0].bytes_p50 < measured.payloads[1].bytes_p50
    assert measured.tensor.n == 20


@pytest.mark.parametrize("name", ["hash", "similarity"])
def test_a_device_reads_a_text_by_its_tokens_and_states_as_calibration_does(
    name: str, bundle: Bundle, tmp_path: Path
) -> None:
    # token 2 is special, one in three leaves at each exit
    arrays = {"exits": np.where(np.arange(30) == 2, 0, np.arange(30) % 3 + 1)} if name == "hash" else None
    reader = Reader([ExitCalibration()] * 3, make_criterion(name, exits=3, arrays=arrays))
    pairs = lines(12)
    samples = samples_of(write_tsv(tmp_path / "x.tsv", pairs), bundle, slice(0, None))
    backend = OnnxRuntimeBackend()
    chain, codecs = Chain(bundle, backend, threads=1), CodecSection.usual(bundle.intake())
    recorded = record(bundle.id, chain, samples, codecs=codecs, reader=reader, progress=lambda _: None)
    prefix = Prefix(bundle, backend)
    for (text, _), wanted in zip(pairs, recorded.confidence, strict=True):
        run, readings = prefix.start(text), []
        while run.depth < prefix.exits:
            run.deepen()
            raw = Raw.of(run, run.logits(), hidden=True)
            readings.append(raw.read(reader, readings))
        assert [one.confidence for one in readings] == pytest.approx(wanted.tolist(), abs=1e-6)
    assert len(np.unique(recorded.confidence[:, 0])) > (2 if name == "hash" else 0)


def test_what_a_device_warms_up_with_is_read_by_every_exit(bundle: Bundle) -> None:
    prefix = Prefix(bundle, OnnxRuntimeBackend(), clock=time.perf_counter)
    run = prefix.blank()
    while run.depth < prefix.exits:
        run.deepen()
        assert np.isfinite(run.logits()).all()
