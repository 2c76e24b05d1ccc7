"""A `.tsv` through `trace` and `calibrate`: what is recorded of a text is what a device makes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tokenizers")

from partitioner.data import samples_of
from split_core import bundle as bundles
from split_core import policy, traces
from split_core.cli import main
from split_core.codecs import CODECS
from split_core.errors import DataError
from split_core.tensors import Array
from tests.text_world import lines, text_bundle, write_tsv

ALL = slice(0, None)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_bundle(tmp_path_factory.mktemp("text"))


def test_labels_are_names_or_numbers(root: Path, tmp_path: Path) -> None:
    bundle = bundles.load(root)
    (tmp_path / "x.tsv").write_text("a fine film\tpositive\ngrim\t0\n")
    samples = samples_of(tmp_path / "x.tsv", bundle, ALL)
    np.testing.assert_array_equal(samples.labels, [1, 0])
    ids, mask = samples.inputs(ALL)
    np.testing.assert_array_equal(ids, [[2, 10, 4, 11, 3], [2, 9, 3, 0, 0]])
    np.testing.assert_array_equal(mask.sum(1), [5, 3])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("fine\tpositiv\n", "no class is named 'positiv'; did you mean 'positive'"),
        ("fine\t2\n", "no class is named '2'"),
        ("fine\t1\ndull\n", "lines without a label"),
        ("\n", "holds no samples"),
    ],
)
def test_what_is_no_labelled_text_is_refused(root: Path, tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "x.tsv").write_text(content)
    with pytest.raises(DataError, match=words):
        samples_of(tmp_path / "x.tsv", bundles.load(root), ALL)


def test_a_picture_network_takes_no_texts(tiny_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="says of no tokeniser that it takes any"):
        samples_of(write_tsv(tmp_path / "x.tsv", lines(3)), bundles.load(tiny_bundle), ALL)


def test_a_trace_is_what_each_text_alone_gives(root: Path, tmp_path: Path) -> None:
    data, out = write_tsv(tmp_path / "x.tsv", lines(30)), tmp_path / "trace.npz"
    assert main(["trace", str(root), "--data", str(data), "--out", str(out)]) == 0
    recorded, samples = traces.load(out), samples_of(data, bundles.load(root), ALL)
    assert samples.preprocess is not None
    ids = samples.preprocess.unstack(samples.items)
    assert recorded.payload_bytes[:, 0].tolist() == [2 * item.shape[1] for item in ids]
    assert recorded.correct[:, -1].all()


def test_a_text_network_is_calibrated_from_a_tsv(root: Path, tmp_path: Path) -> None:
    data, out = write_tsv(tmp_path / "x.tsv", lines(80)), tmp_path / "policy.yaml"
    assert main(["calibrate", str(root), "--data", str(data), "--out", str(out)]) == 0
    made = policy.load(out)
    assert made.codecs.input == "tokens"
    assert CODECS.load(made.codecs.hidden)().kind == "hidden"
    assert made.bundle_id == bundles.load(root).id
    measured: Array = np.array([row.accuracy for row in made.evidence.codecs])
    assert (measured == 1.0).all()
