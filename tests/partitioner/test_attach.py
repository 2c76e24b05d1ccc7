from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import ModelProto, numpy_helper

from partitioner import build
from partitioner.attach import suits, with_cuts, with_exits
from partitioner.build import Wish
from partitioner.cut import cut
from partitioner.heads import HEADS
from partitioner.importers.onnx import network_of as imported
from partitioner.network import Network
from partitioner.sources import read_network
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.errors import ConfigError, ModelError
from split_core.resources import config_path
from tests.partitioner.proof import proved
from tests.tiny import tiny_model

TEXT = """
<ir_version: 8, opset_import: ["": 13]>
words (int64[batch, sequence] ids, int64[batch, sequence] mask) => (float[batch, 3] logits)
<float[9, 4] table = {NUMBERS}, float[4, 3] w = {1,2,3,4,5,6,7,8,9,8,7,6}, int64[1] one = {1}, int64[1] last = {2}> {
    early = Gather(table, ids)
    kept = Cast<to = 1>(mask)
    wide = Unsqueeze(kept, last)
    state = Tanh(early)
    weighed = Mul(state, wide)
    pooled = ReduceMean<axes = [1], keepdims = 0>(weighed)
    logits = MatMul(pooled, w)
}
"""


def text_model(opset: int = 13) -> ModelProto:
    numbers = ",".join(f"{value:.3f}" for value in np.random.default_rng(1).normal(0, 1, 36))
    model = onnx.parser.parse_model(TEXT.replace("NUMBERS", numbers))
    return onnx.version_converter.convert_version(model, opset) if opset != 13 else model


def network(model: ModelProto) -> Network:
    return imported(model, {"file": "x.onnx", "sha256": "0" * 64}, {})


def bare() -> Network:
    """The tiny network with its last exit alone, which is called like the head of a third cut would be."""
    model = tiny_model()
    del model.graph.output[:-1]
    return network(model)


@pytest.mark.parametrize("opset", [13, 18])
def test_a_head_that_was_attached_answers_every_class_alike_at_any_length(opset: int) -> None:
    made = with_exits(with_cuts(network(text_model(opset)), (("state", "mask"),)), "text")
    head = cut(made).heads[0]
    assert head.inputs == ("state", "mask")
    session = OnnxRuntimeBackend("off").load(head.model, threads=1)
    for length in (1, 7, 40):
        states = np.random.default_rng(3).normal(0, 5, (2, length, 4)).astype(np.float32)
        np.testing.assert_array_equal(session.run([states, np.ones((2, length), np.int64)])[0], np.zeros((2, 3)))
    assert proved(made)["passed"]


def test_the_text_head_with_weights_put_in_is_a_linear_layer_on_the_mean_of_kept_tokens() -> None:
    made = with_exits(with_cuts(network(text_model()), (("state", "mask"),)), "text")
    model = onnx.load_model_from_string(cut(made).heads[0].model)
    rng = np.random.default_rng(4)
    put = {"exit_1.weight": rng.normal(0, 1, (4, 3)).astype(np.float32), "exit_1.bias": np.float32([1, 2, 3])}
    for item in model.graph.initializer:
        if item.name in put:
            item.CopyFrom(numpy_helper.from_array(put[item.name], item.name))
    states = rng.normal(0, 1, (2, 5, 4)).astype(np.float32)
    keep = np.array([[1, 1, 1, 0, 0], [1, 0, 0, 0, 0]])
    found = OnnxRuntimeBackend("off").load(model.SerializeToString(), threads=1).run([states, keep])[0]
    means = np.stack([states[0, :3].mean(0), states[1, 0]])
    np.testing.assert_allclose(found, means @ put["exit_1.weight"] + put["exit_1.bias"], rtol=1e-5)


def test_a_new_head_takes_no_name_that_the_network_uses() -> None:
    made = with_exits(with_cuts(bare(), (("a_1",), ("hidden_1",), ("hidden_2",))))
    assert made.exits[-1] == "exit_3"
    assert len(set(made.exits)) == 4
    assert made.untrained == made.exits[:-1]
    assert proved(made)["passed"]


def test_exits_of_the_network_stay_at_their_places_when_other_cuts_are_chosen() -> None:
    made = with_exits(with_cuts(network(tiny_model()), (("hidden_1",), ("c_2",), ("hidden_2",))))
    assert [name for name in made.exits if name not in made.untrained] == ["exit_1", "exit_2", "exit_3"]
    assert made.exits[0] == "exit_1"
    assert proved(made)["passed"]


def test_an_exit_whose_cut_was_not_chosen_is_left_out_and_that_is_said() -> None:
    made = with_exits(with_cuts(network(tiny_model()), (("hidden_2",),)))
    assert made.exits == ("exit_2", "exit_3")
    assert any("'exit_1' is left out" in note for note in made.notes)


def test_a_network_without_class_logits_gets_no_heads() -> None:
    alone = replace(bare(), exits=(), cuts=(("hidden_1",),))
    assert with_exits(alone) is alone


def test_a_head_that_does_not_suit_is_refused_with_what_crosses() -> None:
    made = with_cuts(bare(), (("hidden_1",),))
    with pytest.raises(ModelError, match=r"no text head suits a cut that carries hidden_1 float32 \(4, 8, 8\)"):
        with_exits(made, "text")
    with pytest.raises(ConfigError, match="did you mean 'vision'"):
        with_exits(made, "visoin")


@pytest.mark.parametrize("name", HEADS)
def test_what_suits_can_be_attached(name: str) -> None:
    made = with_cuts(bare(), (("hidden_1",),))
    if suits(made, ("hidden_1",), name):
        assert proved(with_exits(made, name))["passed"]
    else:
        with pytest.raises(ModelError, match="suits"):
            with_exits(made, name)


def test_a_number_of_cuts_keeps_to_places_where_the_network_has_exits_of_its_own() -> None:
    network = read_network(str(config_path("demo/network.onnx")))
    few, many = (build.planned(network, Wish(count)).network for count in ("3", "7"))
    assert few.cuts == (("hidden_3",), ("hidden_4",), ("hidden_5",))
    assert few.exits == ("exit_3", "exit_4", "exit_5", "exit_6")
    assert few.untrained == ()
    assert len(many.untrained) >= 2  # it has five such places only
