from __future__ import annotations

from itertools import count
from pathlib import Path

import numpy as np
import pytest

from partitioner.calibrate import codecs as choice
from partitioner.calibrate.codecs import CodecTable, Route
from partitioner.calibrate.record import chain_from_bundle, codec_named, raw_reader, record
from partitioner.chain import Chain
from partitioner.data import Samples
from split_core import bundle
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.codecs import CODECS
from split_core.errors import ConfigError
from split_core.evidence import CodecEvidence
from split_core.objective import Objective
from split_core.policy import CodecSection
from split_core.readings import softmax
from tests.tiny import EXITS, PREPROCESS, tiny_samples

CODEC_PAIR = CodecSection(hidden="u8", input="png")


@pytest.fixture
def chain(tiny_bundle: Path) -> Chain:
    return chain_from_bundle(bundle.load(tiny_bundle), OnnxRuntimeBackend(), threads=1)


@pytest.fixture
def samples() -> Samples:
    return Samples(*tiny_samples(150, seed=2), PREPROCESS)  # more than two batches


def measured(chain: Chain, samples: Samples) -> CodecTable:
    """With a clock that goes on by a millisecond whenever it is read."""
    ticks = count()
    return choice.measure(chain, samples, clock=lambda: next(ticks) / 1000, progress=lambda done: None)


def test_a_trace_holds_what_every_exit_says_and_every_cut_would_ship(chain: Chain, samples: Samples) -> None:
    steps: list[int] = []
    traces = record("ab" * 32, chain, samples, codecs=CODEC_PAIR, reader=raw_reader(EXITS), progress=steps.append)
    passage = chain.run(samples.inputs(slice(None)))
    np.testing.assert_allclose(traces.logits, np.stack(passage.logits, axis=1), atol=1e-5)
    np.testing.assert_allclose(traces.confidence, softmax(traces.logits).max(axis=2))
    assert traces.payload_bytes.shape == (150, EXITS)
    assert traces.payload_bytes[:, 1].tolist() == [4 * 8 * 8] * 150
    assert traces.payload_bytes[:, 2].tolist() == [6 * 4 * 4] * 150
    png = CODECS.load("png")()
    assert traces.payload_bytes[:, 0].tolist() == [len(png.encode(image).data) for image in samples.items]
    assert (traces.bundle_id, sum(steps)) == ("ab" * 32, 150)
    assert (traces.correct.mean(axis=0) > 0.5).all()


def test_a_codec_of_the_other_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="codec 'u8' is for hidden payloads, expected one for input"):
        codec_named("u8", "input")


def test_every_codec_is_measured_where_it_can_be_used(chain: Chain, samples: Samples) -> None:
    table = measured(chain, samples)
    hidden = {name for name in CODECS if CODECS.load(name).kind == "hidden"}
    places = {(row.codec, row.cut) for row in table.rows}
    assert places == {(n, cut) for n in hidden for cut in (1, 2)} | {(n, 0) for n in set(CODECS) - hidden - {"tokens"}}
    assert table.samples == 150
    for row in table.rows:
        if CODECS.load(row.codec)().lossless:
            assert (row.agreement, row.accuracy) == (1.0, pytest.approx(table.accuracy, abs=1e-6))
    assert {row.encode_ms for row in table.rows} == {1.0}
    sizes = {(row.codec, row.cut): row.mean_bytes for row in table.rows}
    assert sizes["raw", 1] == 4 * sizes["u8", 1] == 4 * 8 * 8 * 4
    assert 0 < sizes["u8z", 1] < sizes["raw", 1]


def test_a_codec_is_judged_by_the_answers_behind_it(chain: Chain, samples: Samples) -> None:
    row = next(r for r in measured(chain, samples).rows if r.codec == "jpeg")
    jpeg = CODECS.load("jpeg")()
    images = np.stack([jpeg.decode(jpeg.encode(image)) for image in samples.items])
    labels = chain.run([PREPROCESS.tensor(images)]).logits[-1].argmax(1)
    plain = chain.run(samples.inputs(slice(None))).logits[-1].argmax(1)
    assert row.accuracy == pytest.approx(np.mean(labels == samples.labels), abs=1e-6)
    assert row.agreement == pytest.approx(np.mean(labels == plain), abs=1e-6)


def test_a_network_without_images_ships_its_input_as_a_hidden_state(chain: Chain, samples: Samples) -> None:
    arrays = Samples(samples.inputs(slice(None))[0], samples.labels, None)
    table = measured(chain, arrays)
    assert {row.cut for row in table.rows if row.codec == "u8"} == {0, 1, 2}
    assert all(CODECS.load(row.codec).kind == "hidden" for row in table.rows)
    assert choice.choose(table, Route(Objective()), max_drop=1.0).input == CodecSection().input
    traces = record("ab" * 32, chain, arrays, codecs=CODEC_PAIR, reader=raw_reader(EXITS), progress=lambda done: None)
    assert traces.payload_bytes[:, 0].tolist() == [8 * 8] * 150


def row(codec: str, cut: int, mean_bytes: float, accuracy: float, encode_ms: float = 0.0) -> CodecEvidence:
    return CodecEvidence(
        cut=cut, codec=codec, mean_bytes=mean_bytes, encode_ms=encode_ms, accuracy=accuracy, agreement=0.9
    )


ROWS = (
    row("pixels", 0, 500, 0.900),
    row("jpeg", 0, 300, 0.899),
    row("webp", 0, 200, 0.895),
    row("raw", 1, 900, 0.900),
    row("raw", 2, 900, 0.900),
    row("u8", 1, 100, 0.900),
    row("u8", 2, 100, 0.897),
    row("rawz", 1, 800, 0.900),
    row("rawz", 2, 700, 0.900),
)


@pytest.mark.parametrize(
    ("max_drop", "hidden", "image"),
    [(0.0, "rawz", "pixels"), (0.002, "rawz", "jpeg"), (0.003, "u8", "jpeg"), (0.1, "u8", "webp")],
)
def test_the_smallest_codec_that_holds_everywhere_is_chosen(max_drop: float, hidden: str, image: str) -> None:
    found = choice.choose(CodecTable(1000, 0.9, ROWS), Route(Objective()), max_drop=max_drop)
    assert found == CodecSection(hidden=hidden, input=image)


def test_bytes_that_take_longer_to_save_than_to_send_are_not_saved() -> None:
    # 200 bytes less are 0.16 ms at 10 Mbit/s; packing them takes 0.1 ms here, 1 ms on a device 10 times slower.
    table = CodecTable(1000, 0.9, (row("pixels", 0, 500, 0.9), row("webp", 0, 300, 0.9, encode_ms=0.1)))
    for route, expected in (
        (Route(Objective(), slowdown=1.0), "webp"),
        (Route(Objective(), slowdown=10.0), "pixels"),
        (Route(Objective(), slowdown=10.0, rate_mbit=0.1), "webp"),
        (Route(Objective(kb=10.0), slowdown=10.0), "webp"),
    ):
        assert choice.choose(table, route, max_drop=0.0).input == expected


def test_a_route_prices_packing_sending_and_bytes() -> None:
    # 2 * 0.5 ms to pack, 1000 bytes at 1 Mbit/s are 8 ms, one kilobyte at 3.
    route = Route(Objective(ms=1.0, kb=3.0), slowdown=2.0, rate_mbit=1.0)
    assert route.price(row("webp", 0, 1000, 0.9, encode_ms=0.5)) == pytest.approx(1.0 + 8.0 + 3.0)


def test_when_no_codec_holds_it_is_said() -> None:
    with pytest.raises(ConfigError, match=r"no input codec keeps the accuracy within 0.002"):
        choice.choose(CodecTable(1000, 0.99, ROWS[:3]), Route(Objective()), max_drop=0.002)
