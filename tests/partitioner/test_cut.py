from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from onnx import helper

from partitioner.cut import Part, cut
from partitioner.cuts import CHEAP
from partitioner.network import Network
from split_core.errors import ModelError
from tests.partitioner.graphs import cut_networks, network_of
from tests.partitioner.proof import proved
from tests.tiny import tiny_model


def tiny_network() -> Network:
    return Network(tiny_model(), {}, (("hidden_1",), ("hidden_2",)), ("exit_1", "exit_2", "exit_3"))


def parsed(part: Part) -> onnx.ModelProto:
    return onnx.load_model_from_string(part.model)


@settings(max_examples=60)
@given(cut_networks())
def test_random_networks_cut_anywhere_are_bit_equal_to_the_whole(network: Network) -> None:
    certificate = proved(network)
    assert all(entry["bit_equal_off"] for entry in (*certificate["cuts"], *certificate["exits"]))
    assert certificate["passed"]


@given(cut_networks())
def test_every_piece_is_a_valid_model_with_each_weight_once_and_none_too_many(network: Network) -> None:
    parts = cut(network)
    for part in (*parts.segments, *parts.heads):
        model = parsed(part)
        onnx.checker.check_model(model, full_check=True)
        stored = Counter(item.name for item in model.graph.initializer)
        used = {name for node in model.graph.node for name in node.input}
        assert set(stored.values()) <= {1}
        assert set(stored) <= used
        assert (model.ir_version, model.opset_import[0].version) == (10, 18)
        assert all(item.type.tensor_type.shape.dim[0].dim_param for item in model.graph.input)


@given(cut_networks())
def test_segments_chain_and_hardly_any_work_is_done_twice(network: Network) -> None:
    parts = cut(network)
    for before, after in zip(parts.segments, parts.segments[1:], strict=False):
        assert before.outputs == after.inputs
    index_of = {name: index for name, index in network.flow.maker.items() if name in network.flow.variable}
    work = [
        network.macs[index]
        for part in parts.segments
        for index in {index_of[name] for node in parsed(part).graph.node for name in node.output if name in index_of}
    ]
    assert sum(work) <= sum(network.macs[index] for index in network.trunk) + CHEAP * len(parts.cuts) * sum(
        network.macs
    )


def test_a_weight_that_two_segments_share_is_in_both() -> None:
    body = [
        helper.make_node("MatMul", ["x", "w_0"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "w_0"], ["c"]),
    ]
    parts = cut(network_of(body, "c", ("x",), (("b",),)))
    assert [
        [item.name for item in parsed(part).graph.initializer if item.name == "w_0"] for part in parts.segments
    ] == [
        ["w_0"],
        ["w_0"],
    ]


def test_a_tensor_that_crosses_two_cuts_is_passed_through() -> None:
    body = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Tanh", ["x"], ["m"]),
        helper.make_node("Add", ["a", "m"], ["b"]),
        helper.make_node("Add", ["b", "m"], ["c"]),
    ]
    cuts = (("a", "m"), ("m", "b"))
    network = network_of(body, "c", ("x",), cuts)
    parts = cut(network)
    assert parts.segments[1].inputs == ("a", "m")
    assert parts.segments[1].outputs == ("m", "b")
    assert proved(network, parts)["passed"]


def test_a_subgraph_s_use_of_an_outer_tensor_counts_as_crossing() -> None:
    branches = {
        f"{name}_branch": helper.make_graph(
            [helper.make_node(op, ["a"], [f"{name}_out"])],
            name,
            [],
            [helper.make_tensor_value_info(f"{name}_out", 1, None)],
        )
        for name, op in (("then", "Relu"), ("else", "Neg"))
    }
    yes = onnx.numpy_helper.from_array(np.array(True), "yes_value")
    body = [
        helper.make_node("Tanh", ["x"], ["a"]),
        helper.make_node("Sigmoid", ["a"], ["b"]),
        helper.make_node("Constant", [], ["yes"], value=yes),
        helper.make_node("If", ["yes"], ["c"], **branches),
        helper.make_node("Add", ["b", "c"], ["d"]),
    ]
    network = replace(network_of(body, "d", ("x",)), cuts=(("b",),))
    with pytest.raises(ModelError, match="a would cross too"):
        cut(network)


def test_a_head_that_reads_from_before_its_cut_is_refused_by_name() -> None:
    model = tiny_model()
    node = next(node for node in model.graph.node if node.output[0] == "pool_2")
    node.input[0] = "e_2"
    for attribute in node.attribute:
        attribute.ints[:] = [4, 4]
    network = Network(model, {}, (("hidden_1",), ("hidden_2",)), ("exit_1", "exit_2", "exit_3"))
    with pytest.raises(ModelError, match=r"exit_2.onnx: needs e_2, which cut hidden_2 does not carry"):
        cut(network)


def test_a_skip_connection_over_a_cut_is_refused_by_name() -> None:
    body = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Tanh", ["a"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["c"]),
    ]
    network = replace(network_of(body, "c", ("x",)), cuts=(("b",),))
    with pytest.raises(ModelError, match="cut b: a would cross too"):
        cut(network)


def test_cuts_in_the_wrong_order_are_refused_by_name() -> None:
    with pytest.raises(ModelError, match="hidden_1 is computed before hidden_2; give the cuts in the order"):
        cut(replace(tiny_network(), cuts=(("hidden_2",), ("hidden_1",))))


def test_the_same_network_gives_the_same_bytes() -> None:
    assert cut(tiny_network()) == cut(tiny_network())


def test_a_network_without_cuts_is_one_segment() -> None:
    body = [helper.make_node("Relu", ["x"], ["a"])]
    parts = cut(network_of(body, "a", ("x",)))
    assert [part.outputs for part in parts.segments] == [("exit_1",)]
    assert parts.heads == ()


def test_no_head_node_is_in_a_segment() -> None:
    parts = cut(tiny_network())
    made = {node.output[0] for part in parts.segments for node in parsed(part).graph.node}
    assert {"pool_1", "exit_1", "flat_2", "exit_2"}.isdisjoint(made)
    assert {"pool_3", "flat_3", "exit_3"} <= made
