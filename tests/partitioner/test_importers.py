from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from partitioner.importers.onnx import network_of
from partitioner.network import Network
from partitioner.roles import with_roles
from partitioner.sources import read_network
from split_core.errors import ModelError
from tests.tiny import tiny_model

WHOLE = tiny_model().SerializeToString(deterministic=True)


def changed(tmp_path: Path, change: Callable[[onnx.ModelProto], None]) -> Path:
    model = tiny_model()
    change(model)
    path = tmp_path / "changed.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def refused(path: Path) -> str:
    with pytest.raises(ModelError) as refusal:
        read_network(str(path))
    message = str(refusal.value)
    assert "\n" not in message
    assert path.name in message
    return message


def rename(model: onnx.ModelProto, old: str, new: str) -> None:
    for node in model.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    for item in (*model.graph.input, *model.graph.output):
        item.name = new if item.name == old else item.name


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "absent.onnx")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x00" * 64])
def test_a_file_of_something_else_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "odd.onnx"
    path.write_bytes(content)
    assert "export or copy it again" in refused(path)


def test_hidden_states_and_exits_are_known_by_name(tiny_model_path: Path) -> None:
    network = read_network(str(tiny_model_path))
    assert network.cuts == (("hidden_1",), ("hidden_2",))
    assert network.exits == ("exit_1", "exit_2", "exit_3")
    assert network.source["file"] == "tiny.onnx"
    assert network.spec("hidden_2").shape == (None, 6, 4, 4)


def test_a_suffix_that_no_importer_reads_is_refused(tmp_path: Path) -> None:
    assert "expected a file ending in .onnx" in refused(tmp_path / "model.h5")


@given(st.integers(0, len(WHOLE) - 1))
def test_a_truncated_file_is_refused(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    path = tmp_path_factory.getbasetemp() / "truncated.onnx"
    path.write_bytes(WHOLE[:length])
    assert path.name in refused(path)


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_any_damaged_bytes_give_a_network_or_a_model_error(
    tmp_path_factory: pytest.TempPathFactory, damage: list[tuple[int, int]]
) -> None:
    data = bytearray(WHOLE)
    for place, byte in damage:
        data[place] = byte
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    path.write_bytes(bytes(data))
    with suppress(ModelError):
        assert read_network(str(path)).finals


def test_a_fixed_batch_of_several_is_refused_with_what_to_do(tmp_path: Path) -> None:
    def fix(model: onnx.ModelProto) -> None:
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 8

    message = refused(changed(tmp_path, fix))
    assert "'image' has the fixed batch 8" in message
    assert "dynamic batch, or one of 1" in message


def test_a_fixed_batch_of_one_is_taken_as_one(tmp_path: Path) -> None:
    def fix(model: onnx.ModelProto) -> None:
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1

    network = read_network(str(changed(tmp_path, fix)))
    assert network.spec("hidden_2").shape == (1, 6, 4, 4)
    assert network.shapes.rows == 1


def test_an_axis_that_the_network_cannot_run_longer_is_refused_with_the_option(tmp_path: Path) -> None:
    def free(model: onnx.ModelProto) -> None:
        model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"

    message = refused(changed(tmp_path, free))
    assert "does not run at height" in message
    assert "--axis" in message


def test_missing_external_data_is_refused(tmp_path: Path) -> None:
    onnx.save_model(
        tiny_model(), str(tmp_path / "big.onnx"), save_as_external_data=True, location="big.data", size_threshold=0
    )
    assert read_network(str(tmp_path / "big.onnx")).exits
    (tmp_path / "big.data").unlink()
    assert "external weights big.data are missing" in refused(tmp_path / "big.onnx")


def test_a_newer_ir_version_is_brought_down_and_an_older_one_is_kept(tmp_path: Path) -> None:
    for given_ir, expected in ((12, 10), (8, 8)):
        path = changed(tmp_path, lambda model, ir=given_ir: setattr(model, "ir_version", ir))
        assert read_network(str(path)).model.ir_version == expected


def roles(outputs: list[str]) -> Network:
    return with_roles(Network(tiny_model(), {}), outputs)


def test_a_network_with_one_output_of_any_name_is_one_exit(tmp_path: Path) -> None:
    def bare(model: onnx.ModelProto) -> None:
        rename(model, "exit_3", "logits")
        del model.graph.output[:-1]

    network = read_network(str(changed(tmp_path, bare)))
    assert (network.cuts, network.exits) == ((), ("logits",))


def test_an_output_of_another_name_among_numbered_ones_is_refused_by_name(tmp_path: Path) -> None:
    message = refused(changed(tmp_path, lambda model: rename(model, "exit_2", "aux")))
    assert "'aux'" in message
    assert "exit_<k>" in message


def test_several_logits_of_the_same_classes_are_exits_in_the_order_of_depth(tmp_path: Path) -> None:
    def free(model: onnx.ModelProto) -> None:
        for old, new in (("exit_1", "early"), ("exit_2", "later"), ("exit_3", "answer")):
            rename(model, old, new)
        del model.graph.output[:2]
        model.graph.output.reverse()

    network = read_network(str(changed(tmp_path, free)))
    assert (network.offered, network.exits, network.outputs) == (("early", "later"), ("answer",), ("answer",))


def test_logits_among_other_outputs_are_the_answer_and_that_is_said(tmp_path: Path) -> None:
    def free(model: onnx.ModelProto) -> None:
        for old, new in (("hidden_2", "features"), ("exit_3", "logits")):
            rename(model, old, new)
        del model.graph.output[0], model.graph.output[1:3]

    network = read_network(str(changed(tmp_path, free)))
    assert (network.exits, network.offered) == (("logits",), ())
    assert any("features" in note for note in network.notes)


def test_outputs_of_other_shapes_are_all_the_answer_and_no_exits(tmp_path: Path) -> None:
    def free(model: onnx.ModelProto) -> None:
        for old, new in (("hidden_2", "map"), ("exit_3", "scores")):
            rename(model, old, new)
        del model.graph.output[0], model.graph.output[1:3]

    network = read_network(str(changed(tmp_path, free)))
    assert (network.outputs, network.exits) == (("map", "scores"), ())


def test_a_node_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    def spoil(model: onnx.ModelProto) -> None:
        model.graph.node.append(helper.make_node("Add", ["nowhere", "image"], ["odd"]))

    assert "not a valid ONNX model" in refused(changed(tmp_path, spoil))


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        (["exit_1", "exit_3", "hidden_1"], "exit_2 is out of line"),
        (["exit_0", "exit_1", "hidden_1"], "exit_0 is out of line"),
        (["exit_1", "exit_2", "exit_3", "hidden_1"], "3 exits need 2 hidden states"),
        (["hidden_1", "hidden_2", "exit_1", "exit_2"], "2 exits need 1 hidden states"),
        (["hidden_1"], "0 exits"),
    ],
)
def test_outputs_that_do_not_count_are_refused(outputs: list[str], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        roles(outputs)


def test_a_cut_of_two_tensors_is_named_by_its_number_and_order_of_outputs_does_not_matter() -> None:
    network = roles(["exit_2", "hidden_1", "hidden_1_mask", "exit_1"])
    assert network.cuts == (("hidden_1", "hidden_1_mask"),)
    assert network.exits == ("exit_1", "exit_2")


def test_axes_that_are_one_under_several_names_are_taken_as_one_and_that_is_said() -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["": 18]>
        g (float[unk__1, unk__2, 3] x, float[unk__3, unk__4, 3] z) => (float[a, b, 3] y) {
            a = Relu(x)
            b = Add(a, z)
            y = Tanh(b)
        }"""
    )
    network = network_of(model, {}, {})
    assert network.axes == {"unk__2": (16, 24)}
    assert network.spec("z").shape == (None, "unk__2", 3)
    assert any("unk__2, unk__4 are taken to be one" in note for note in network.notes)


def test_a_network_that_takes_one_sample_only_is_taken_so_and_that_is_said() -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["": 18]>
        g (float[N, 3] x) => (float[N, 3] y) <int64[2] one = {1, 3}> {
            a = Relu(x)
            b = Reshape(a, one)
            y = Tanh(b)
        }"""
    )
    network = network_of(model, {}, {})
    assert network.spec("b").shape == (1, 3)
    assert any("one sample only" in note for note in network.notes)


def test_an_axis_of_the_name_that_would_be_made_up_for_another_stays_itself() -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["": 18]>
        g (float[N, dim_2, 3] x) => (float[N, c, 3] y) {
            a = Concat<axis = 1>(x, x)
            b = Relu(a)
            y = Tanh(b)
        }"""
    )
    network = network_of(model, {}, {})
    dims = network.shapes.dims
    assert dims["x"] == ("batch", "dim_2", 3)
    assert dims["a"][1] not in ("dim_2", "batch")
    assert network.shapes.axes[str(dims["a"][1])] == (32, 48)
