from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from partitioner.build import Wish, certify, planned
from partitioner.comparison import LEVELS, Comparison
from partitioner.cut import Part, Parts, cut
from partitioner.findings import failure, summary
from partitioner.importers.onnx import network_of
from partitioner.network import COARSE, Network
from partitioner.sources import read_network
from partitioner.verify import Trial
from split_core import bundle
from split_core.errors import BundleError, CertificateError, ModelError
from tests.partitioner.proof import TINY, bundled, proved
from tests.tiny import PREPROCESS, tiny_model, tiny_samples


@pytest.fixture
def tiny(tiny_model_path: Path) -> tuple[Network, Parts]:
    network = read_network(str(tiny_model_path))
    return network, cut(network)


def with_nudged_weight(part: Part, name: str, by: float) -> Part:
    model = onnx.load_model_from_string(part.model)
    for item in model.graph.initializer:
        if item.name == name:
            item.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(item) + np.float32(by), name))
    return replace(part, model=model.SerializeToString(deterministic=True))


def spoiled(parts: Parts, by: float) -> Parts:
    """Exit 2's head is not the network's."""
    return replace(parts, heads=(parts.heads[0], with_nudged_weight(parts.heads[1], "head_2.weight", by)))


def test_right_pieces_pass_and_everything_is_recorded(tiny: tuple[Network, Parts]) -> None:
    network, parts = tiny
    images, _ = tiny_samples(7)
    ticks = iter([1_700_000_000.0, 1_700_000_002.5])
    trial = Trial(seed=3, samples=[PREPROCESS.tensor(images)])
    made = proved(network, parts, trial, identity=TINY, clock=lambda: next(ticks))
    assert made["passed"] is True
    assert made["bundle_id"] == bundled(network, parts, TINY).id
    assert (made["sizes"], made["random_samples"], made["real_samples"]) == ([{"batch": 1}, {"batch": 4}], 20, 7)
    assert (made["made_at"], made["seconds"], made["seed"]) == ("2023-11-14T22:13:20+00:00", 2.5, 3)
    assert [entry["cut"] for entry in made["cuts"]] == [1, 2]
    assert [entry["exit"] for entry in made["exits"]] == [1, 2, 3]
    for entry in made["exits"]:
        assert entry["bit_equal_off"] is True
        assert entry["highest_exact_level"] in LEVELS
        assert entry["deployed_label_agreement"] == 1.0
        assert entry["deployed_max_difference"] < 1e-5
    assert {"onnxruntime", "onnx", "numpy"} <= set(made["versions"])


def test_one_wrong_weight_in_a_head_fails_that_exit_only(tiny: tuple[Network, Parts]) -> None:
    network, parts = tiny
    wrong = spoiled(parts, 0.25)
    made = proved(network, wrong)
    assert made["passed"] is False
    assert [entry["bit_equal_off"] for entry in made["exits"]] == [True, False, True]
    assert made["exits"][1]["highest_exact_level"] is None
    assert made["exits"][1]["deployed_max_difference"] > 0.01
    assert "exit 2: NOT bit-equal" in summary(made)[1]
    assert "NOT passed" in summary(made)[-1]


def test_a_wrong_weight_in_a_segment_shows_in_its_cut_and_all_exits_behind(tiny: tuple[Network, Parts]) -> None:
    network, parts = tiny
    bad = with_nudged_weight(parts.segments[1], "conv_2.bias", 0.25)
    wrong = replace(parts, segments=(parts.segments[0], bad, parts.segments[2]))
    made = proved(network, wrong)
    assert [entry["bit_equal_off"] for entry in made["cuts"]] == [True, False]
    assert [entry["bit_equal_off"] for entry in made["exits"]] == [True, False, False]


def test_a_difference_too_small_for_the_tolerance_still_fails_the_exact_half(tiny: tuple[Network, Parts]) -> None:
    network, parts = tiny
    wrong = spoiled(parts, 1e-6)
    assert proved(network, wrong, Trial(seed=3, tolerance=0.1))["passed"] is False


def test_a_tolerance_below_what_is_deployed_fails(tiny: tuple[Network, Parts]) -> None:
    network, parts = tiny
    made = proved(network, parts, Trial(seed=3, tolerance=0.0))
    differs = any(entry["deployed_max_difference"] > 0 for entry in made["exits"])
    assert made["passed"] is not differs


def test_a_tolerance_that_is_not_kept_names_the_worst_and_the_option() -> None:
    network = planned(network_of(onnx.parser.parse_model(ROUNDED), {}, {}), Wish("2")).network
    made = {**proved(network), "tolerance": 1e-9}
    assert "as deployed, tolerance 1e-09; see --tolerance" in failure(made)
    assert max(entry["deployed_max_difference"] for entry in made["cuts"]) > 0


BREAKS_THE_OPTIMISER = """
<ir_version: 10, opset_import: ["": 18]>
scaled (float[batch, 2] x) => (float[batch, 2] hidden_1, float[batch, 2] exit_1, float[batch, 2] exit_2)
<float[2, 2] w = {1, 2, 3, 4}> {
    c = Constant <value_float = 1.5> ()
    hidden_1 = Mul(x, c)
    exit_1 = Relu(hidden_1)
    left = MatMul(hidden_1, w)
    again = Mul(hidden_1, c)
    right = MatMul(again, w)
    exit_2 = Add(left, right)
}
"""


def test_a_network_that_the_optimiser_breaks_is_compared_with_itself_unoptimised(tmp_path: Path) -> None:
    path = tmp_path / "scaled.onnx"
    path.write_bytes(onnx.parser.parse_model(BREAKS_THE_OPTIMISER).SerializeToString())
    network = read_network(str(path))
    made = proved(network)
    assert made["passed"]
    assert made["exits"][1]["deployed_max_difference"] < 1e-5
    # A later onnxruntime may load it; then nothing is refused.
    if made["refused_levels"]:
        assert made["exits"][1]["highest_exact_level"] == "basic"


def test_nan_and_shape_are_differences_without_bound() -> None:
    for part in (np.array([[np.nan, 1.0]]), np.zeros((1, 3))):
        comparison = Comparison()
        comparison.add(np.array([[0.0, 1.0]]), part)
        assert not comparison.equal
        assert comparison.difference == np.inf
        assert not comparison.within(1e9)


def test_the_same_nan_on_both_sides_is_equal() -> None:
    comparison = Comparison()
    comparison.add(np.array([[np.nan, 1.0]]), np.array([[np.nan, 1.0]]))
    assert comparison.equal
    assert comparison.within(0.0)


def test_the_tolerance_is_a_share_of_the_greatest_value() -> None:
    comparison = Comparison()
    comparison.add(np.array([[100.0, 1.0]]), np.array([[100.0, 1.05]]))
    assert comparison.within(0.001)
    assert not comparison.within(0.0001)
    assert (comparison.agree, comparison.rows) == (1, 1)


def test_a_certificate_that_did_not_pass_is_not_written(tiny: tuple[Network, Parts], tmp_path: Path) -> None:
    network, parts = tiny
    wrong = spoiled(parts, 0.25)
    made = proved(network, wrong)
    with pytest.raises(CertificateError, match="nothing was written"):
        bundle.write(tmp_path, bundled(network, wrong).manifest, wrong.contents(), lambda _: made)
    assert list(tmp_path.iterdir()) == []


def test_certifying_again_keeps_the_id_and_replaces_the_certificate(tiny_copy: Path, tiny_model_path: Path) -> None:
    before = bundle.load(tiny_copy)
    made = certify(tiny_copy, read_network(str(tiny_model_path)), Trial(seed=99), lambda: 0.0)
    after = bundle.load(tiny_copy)
    assert after.id == before.id
    assert after.certificate == made
    assert (before.certificate["seed"], after.certificate["seed"]) == (0, 99)


def test_a_bundle_without_a_certificate_can_be_certified(tiny_copy: Path, tiny_model_path: Path) -> None:
    (tiny_copy / bundle.CERTIFICATE).unlink()
    with pytest.raises(CertificateError):
        bundle.load(tiny_copy)
    certify(tiny_copy, read_network(str(tiny_model_path)), Trial(), lambda: 0.0)
    assert bundle.load(tiny_copy).certificate["passed"]


def test_a_forged_bundle_is_not_certified_and_left_as_it_was(
    tiny: tuple[Network, Parts], tiny_model_path: Path, tmp_path: Path
) -> None:
    network, parts = tiny
    wrong = spoiled(parts, 0.25)
    forged = bundled(network, wrong, TINY).manifest
    claim = {"passed": True, "bundle_id": forged.id}
    bundle.write_to(tmp_path / "forged", forged, wrong.contents(), lambda _: claim)
    before = {file: file.read_bytes() for file in (tmp_path / "forged").rglob("*") if file.is_file()}
    with pytest.raises(CertificateError, match="exit 2: NOT bit-equal with optimisation off"):
        certify(tmp_path / "forged", read_network(str(tiny_model_path)), Trial(), lambda: 0.0)
    assert {file: file.read_bytes() for file in (tmp_path / "forged").rglob("*") if file.is_file()} == before


def test_another_network_than_the_bundle_s_is_refused(tiny_copy: Path, tmp_path: Path) -> None:
    other = tiny_model()
    other.doc_string = "another"
    (tmp_path / "other.onnx").write_bytes(other.SerializeToString())
    with pytest.raises(ModelError, match=r"was made from tiny.onnx .* give that file"):
        certify(tiny_copy, read_network(str(tmp_path / "other.onnx")), Trial(), lambda: 0.0)


def test_a_damaged_piece_is_not_certified(tiny_copy: Path, tiny_model_path: Path) -> None:
    piece = tiny_copy / "heads" / "exit_1.onnx"
    piece.write_bytes(piece.read_bytes()[:-1] + b"\x00")
    with pytest.raises(BundleError, match="copy the bundle again"):
        certify(tiny_copy, read_network(str(tiny_model_path)), Trial(), lambda: 0.0)


HALF = """
<ir_version: 8, opset_import: ["": 18]>
half (float16[batch, 6] x) => (float16[batch, 3] y) <float16[6, 3] w = {1,2,3,1,2,3,1,2,3,1,2,3,1,2,3,1,2,3}> {
    a = Relu(x)
    b = Sigmoid(a)
    c = Sin(b)
    d = Exp(c)
    e = Mul(d, b)
    y = MatMul(e, w)
}
"""

ROUNDED = """
<ir_version: 8, opset_import: ["": 18]>
rounded (float[batch, 3] x) => (float[batch, 3] y)
<float s = {0.02}, uint8 z = {128}, int8[3, 3] w = {1,2,3,4,5,6,7,8,9}, int8 wz = {0}, float ws = {0.05}> {
    q = QuantizeLinear(x, s, z)
    d = DequantizeLinear(q, s, z)
    v = DequantizeLinear(w, ws, wz)
    a = MatMul(d, v)
    q2 = QuantizeLinear(a, s, z)
    d2 = DequantizeLinear(q2, s, z)
    b = Relu(d2)
    q3 = QuantizeLinear(b, s, z)
    d3 = DequantizeLinear(q3, s, z)
    y = Tanh(d3)
}
"""


@pytest.mark.parametrize("text", [HALF, ROUNDED], ids=["float16", "quantised"])
def test_a_network_that_rounds_inside_is_exact_where_it_is_cut_and_held_to_steps_as_deployed(text: str) -> None:
    network = planned(network_of(onnx.parser.parse_model(text), {}, {}), Wish("all")).network
    made = proved(network)
    assert len(made["cuts"]) >= 4
    assert all(entry["bit_equal_off"] for entry in (*made["cuts"], *made["exits"]))
    assert made["tolerance"] == COARSE
    assert made["passed"]
