from __future__ import annotations

import time
from contextlib import suppress

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from split_core.backends.onnx_signature import Port, read_signature
from split_core.errors import BackendError
from tests.split_core.backends.pieces import BOOL, FLOAT, INT64, encoder, linear, model, quantised, value
from tests.tiny import tiny_model

RNG = np.random.default_rng(0)
TINY = tiny_model().SerializeToString()


def test_ports_are_those_that_onnx_lists_in_order_with_their_axes():
    signature = read_signature(encoder(RNG))
    assert signature.inputs == (
        Port("tokens", "int64", ("batch", "sequence")),
        Port("mask", "bool", ("batch", "sequence")),
        Port("unused", "float32", ("batch", 3)),
    )
    assert [port.name for port in signature.outputs] == ["hidden", "mask", "loudest", "padding"]


def test_nodes_are_spelt_as_the_parser_spells_them():
    graph = tiny_model().graph
    assert list(read_signature(TINY).nodes) == [f'{node.op_type} -> "{node.output[0]}"' for node in graph.node]


@pytest.mark.parametrize(
    ("content", "weights"),
    [(linear(RNG), {"float32"}), (linear(RNG, np.float16), {"float16"}), (quantised(RNG), {"int8", "float32"})],
    ids=["float32", "float16", "int8"],
)
def test_the_dtypes_of_the_weights_are_seen(content: bytes, weights: set[str]):
    assert read_signature(content).weights == weights


def test_dynamic_axes_without_a_name_get_one():
    content = model(
        [helper.make_node("Identity", ["x"], ["y"])],
        [value("x", FLOAT, None, 3, None)],
        [value("y", FLOAT, None, 3, None)],
    )
    assert read_signature(content).inputs == (Port("x", "float32", ("batch", 3, "x[2]")),)


def test_weights_that_are_listed_as_inputs_are_none():
    made = onnx.load_from_string(linear(RNG))
    made.graph.input.append(value("w", FLOAT, 4, 3))
    assert [port.name for port in read_signature(made.SerializeToString()).inputs] == ["x"]


def test_reading_steps_over_the_weights():
    heavy = model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [value("x", FLOAT, "batch", 5_000)],
        [value("y", FLOAT, "batch", 2_000)],
        w=np.zeros((5_000, 2_000), np.float32),
    )
    started_s = time.perf_counter()
    assert read_signature(heavy).weights == {"float32"}
    assert time.perf_counter() - started_s < 0.02  # reading 40 MB takes longer than that


def test_what_is_not_a_tensor_is_refused_by_name():
    content = model(
        [helper.make_node("SequenceConstruct", ["x"], ["many"])],
        [value("x", FLOAT, "batch", 3)],
        [helper.make_tensor_sequence_value_info("many", FLOAT, None)],
    )
    with pytest.raises(BackendError, match="'many' is not a tensor"):
        read_signature(content)


def test_element_types_that_no_piece_has_are_refused_by_name():
    with pytest.raises(BackendError, match="'words' has element type 8"):
        read_signature(
            model(
                [helper.make_node("Identity", ["words"], ["same"])],
                [value("words", onnx.TensorProto.STRING, 1)],
                [value("same", onnx.TensorProto.STRING, 1)],
            )
        )


@given(st.integers(0, len(TINY) - 1))
def test_a_truncated_model_is_a_backend_error_or_still_whole(size: int):
    with suppress(BackendError):
        # Cut between fields the graph may still be there: only what follows it is lost.
        assert read_signature(TINY[:size]) == read_signature(TINY)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_signature_or_a_backend_error(content: bytes):
    with suppress(BackendError):
        assert read_signature(content).outputs


@given(st.integers(0, len(TINY) - 1), st.integers(0, 255))
def test_a_flipped_byte_is_a_signature_or_a_backend_error(position: int, byte: int):
    damaged = bytearray(TINY)
    damaged[position] = byte
    with suppress(BackendError):
        assert read_signature(bytes(damaged)).outputs


def test_the_element_types_are_those_of_onnx():
    content = model(
        [helper.make_node("Identity", ["x"], ["y"])], [value("x", INT64, 2), value("b", BOOL)], [value("y", INT64, 2)]
    )
    assert [(port.dtype, port.shape) for port in read_signature(content).inputs] == [("int64", (2,)), ("bool", ())]
