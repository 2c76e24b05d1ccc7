"""Samples that share a batch: what a worker may put together, and what it may not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import NodeProto, helper, numpy_helper

from partitioner.network import Network
from partitioner.sources import read_network
from tests.partitioner.graphs import value


def network(folder: Path, *body: NodeProto) -> Network:
    """x (batch, 6) -> `body` makes `mixed` -> logits (batch, 3)."""
    weight = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    end = helper.make_node("MatMul", ["mixed", "w"], ["logits"])
    graph = helper.make_graph(
        [*body, end], "rows", [value("x", 6)], [value("logits", 3)], [numpy_helper.from_array(weight, "w")]
    )
    path = folder / "rows.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=10), path)
    return read_network(str(path))


def mean_of_the_batch() -> list[NodeProto]:
    return [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["x", "mean"], ["mixed"]),
    ]


def one_scale_for_the_batch() -> list[NodeProto]:
    return [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["mixed"]),
    ]


def test_samples_that_do_not_mind_one_another_may_share_a_batch(tmp_path: Path) -> None:
    read = network(tmp_path, helper.make_node("Relu", ["x"], ["mixed"]))
    assert read.spec("x").shape == (None, 6)
    assert read.notes == ()


@pytest.mark.parametrize("body", [mean_of_the_batch, one_scale_for_the_batch])
def test_samples_that_change_one_another_are_taken_alone(tmp_path: Path, body: Callable[[], list[NodeProto]]) -> None:
    read = network(tmp_path, *body())
    assert read.spec("x").shape == (1, 6)
    assert read.spec("logits").shape == (1, 3)
    assert "one sample at a time" in read.notes[0]
