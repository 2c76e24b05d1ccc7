from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from partitioner.importers.exported import NAME_SCOPES, Exported  # noqa: E402
from partitioner.importers.torch import export_factory  # noqa: E402
from partitioner.inputs import input_specs  # noqa: E402
from split_core.errors import ConfigError, ModelError, SplitError  # noqa: E402

HERE = "tests.partitioner.torch_modules"


def export(name: str, *inputs: str, **args: str) -> Exported:
    return export_factory(f"{HERE}:{name}", args, input_specs(inputs))


def refused(error: type[SplitError], name: str, *inputs: str, **args: str) -> str:
    with pytest.raises(error) as refusal:
        export(name, *inputs, **args)
    message = str(refusal.value)
    assert "\n" not in message
    return message


def dims(exported: Exported) -> dict[str, list[str | int]]:
    graph = exported.model.graph
    return {
        item.name: [dim.dim_param or dim.dim_value for dim in item.type.tensor_type.shape.dim]
        for item in (*graph.input, *graph.output)
    }


def run(exported: Exported, **feeds: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(exported.model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


@pytest.fixture(scope="module")
def plain() -> Exported:
    return export("plain")


def test_a_module_with_an_example_is_exported_with_a_dynamic_batch(plain: Exported) -> None:
    assert (plain.exporter, plain.notes, plain.axes) == ("dynamo", (), {})
    assert dims(plain) == {"x": ["batch", 4], "logits": ["batch", 3]}
    assert plain.examples["x"].shape == (2, 4)


def test_the_graph_is_what_old_devices_read(plain: Exported) -> None:
    assert plain.model.ir_version == 10
    assert [(entry.domain, entry.version) for entry in plain.model.opset_import] == [("", 18)]


def test_the_source_says_what_was_exported_with_what(plain: Exported) -> None:
    assert plain.source == {
        "module": f"{HERE}:plain",
        "args": "",
        "exporter": "dynamo",
        "torch": torch.__version__,
        "opset": "18",
    }


def test_nothing_of_the_building_machine_is_in_the_graph(plain: Exported) -> None:
    data = plain.model.SerializeToString()
    assert b".py" not in data
    assert str(Path.cwd()).encode() not in data
    kept = {entry.key for node in plain.model.graph.node for entry in node.metadata_props}
    assert kept == {NAME_SCOPES}


def test_block_and_weight_names_are_the_users(plain: Exported) -> None:
    scopes = [entry.value for node in plain.model.graph.node for entry in node.metadata_props]
    assert any("'stem'" in scope for scope in scopes)
    assert not any("network" in scope for scope in scopes)
    assert {"stem.bias", "head.bias"} <= {item.name for item in plain.model.graph.initializer}


def test_the_same_module_gives_the_same_bytes(plain: Exported) -> None:
    again = export("plain")
    assert again.model.SerializeToString(deterministic=True) == plain.model.SerializeToString(deterministic=True)
    assert again.examples["x"].tobytes() == plain.examples["x"].tobytes()


def test_arguments_reach_the_factory_as_yaml() -> None:
    exported = export("plain", classes="7")
    assert dims(exported)["logits"] == ["batch", 7]
    assert exported.source["args"] == "classes=7"


def test_one_row_of_example_still_gives_a_dynamic_batch() -> None:
    exported = export("one_example_row")
    assert exported.exporter == "dynamo"
    assert run(exported, x=np.ones((5, 4), np.float32))[0].shape == (5, 3)


def test_inputs_of_the_user_are_taken_under_their_names() -> None:
    assert dims(export("without_examples", "x=batch,4"))["x"] == ["batch", 4]
    assert dims(export("without_examples", "features=batch,4"))["features"] == ["batch", 4]


def test_a_module_class_and_a_module_itself_are_taken_too() -> None:
    assert dims(export("Plain", "x=batch,4", classes="2"))["logits"] == ["batch", 2]
    assert dims(export("instance", "x=batch,4"))["logits"] == ["batch", 3]


def test_axes_other_than_the_batch_keep_their_names() -> None:
    exported = export("TwoDynamicAxes", "left=batch,long(2:5),4", "right=batch,wide,4")
    assert dims(exported) == {
        "left": ["batch", "long", 4],
        "right": ["batch", "wide", 4],
        "output": ["batch", "long", "wide"],
    }
    assert exported.axes == {"long": (2, 5), "wide": (16, 24)}
    assert exported.examples["left"].shape == (2, 2, 4)


def test_a_fixed_batch_of_one_is_told() -> None:
    exported = export("without_examples", "x=1,4")
    assert exported.exporter == "dynamo, fixed batch"
    assert dims(exported) == {"x": [1, 4], "logits": [1, 3]}
    assert "cannot batch" in exported.notes[0]


@pytest.mark.parametrize(
    ("form", "outputs"),
    [
        ("dict", ["features", "pooled"]),
        ("logits", ["logits"]),
        ("exits", ["exit_1", "exit_2"]),
        ("pair", ["hidden_1", "exit_1", "exit_2"]),
        ("unequal", ["output_1", "output_2"]),
        ("image", ["output"]),
    ],
)
def test_outputs_are_named_by_what_they_are(form: str, outputs: list[str]) -> None:
    assert [item.name for item in export("returns", form=form).model.graph.output] == outputs


@pytest.mark.parametrize(("form", "words"), [("text", "returns a str"), ("too many hidden", "4 hidden states and 2")])
def test_outputs_that_are_no_tensors_are_refused(form: str, words: str) -> None:
    assert words in refused(ModelError, "returns", form=form)


def test_what_dynamo_cannot_export_is_traced_and_told() -> None:
    exported = export("by_name", kind="OnlyTraceable")
    assert exported.exporter == "torchscript"
    assert exported.source["opset"] == "18"
    (note,) = exported.notes
    assert note.startswith("dynamo: ")
    assert "blocks are named after the graph's nodes" in note
    assert dims(exported) == {"x": ["batch", 4], "logits": ["batch", 3]}
    assert not any("network" in node.name for node in exported.model.graph.node)
    assert b".py" not in exported.model.SerializeToString()


def test_weights_that_a_trace_shares_keep_their_names() -> None:
    exported = export("by_name", kind="Twins")
    assert exported.exporter == "torchscript"
    names = {name for node in exported.model.graph.node for name in (*node.input, *node.output)}
    assert any(name.startswith("second.") for name in names)
    assert not any(name.startswith("network.") for name in names)


def test_a_trace_that_fixes_the_batch_is_caught_and_the_batch_becomes_one() -> None:
    exported = export("by_name", kind="BatchInPython")
    assert exported.exporter == "torchscript, fixed batch"
    assert dims(exported) == {"x": [1, 4], "logits": [1, 3]}
    assert "torchscript: output 'logits' at batch 1, row 2 has shape (2, 3)" in exported.notes[0]
    assert "the worker cannot batch" in exported.notes[0]
    assert exported.examples["x"].shape == (1, 4)


def test_a_trace_that_fixes_a_value_is_caught_by_its_numbers() -> None:
    message = refused(ModelError, "by_name", kind="ValueInPython")
    assert "differs from torch by" in message


def test_a_module_that_takes_one_row_gets_a_fixed_batch() -> None:
    exported = export("by_name", kind="OneRow")
    assert exported.exporter == "dynamo, fixed batch"
    assert "the network itself fails at batch 2" in exported.notes[0]
    assert "torch_modules.py" in exported.notes[0]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("Branching", r"depends on values \(torch_modules.py:\d+ in forward\)"),
        ("Unsupported", "bessel_j0"),
        ("Noisy", "another output each time"),
        ("Vanishing", "outputs vanish"),
        ("NotNumbers", r"not numbers \(NaN\) at batch 2"),
    ],
)
def test_a_module_that_is_no_one_graph_is_refused_with_the_reason(kind: str, words: str) -> None:
    with pytest.raises(ModelError, match=words) as refusal:
        export("by_name", kind=kind)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("kind", ["Chatty", "Unsupported", "OnlyTraceable"])
def test_nothing_is_printed_while_exporting(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    with suppress(ModelError):
        assert export("by_name", kind=kind).model.graph.node
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "args", "words"),
    [
        ("plian", {}, "did you mean 'plain'?"),
        ("plain", {"clases": "3"}, "did you mean 'classes'?; it has: classes"),
        ("plain", {"classes": "[1"}, "not a YAML value"),
        ("returns", {}, "missing a required argument: 'form'; give it with --arg"),
        ("HERE", {}, "has no 'HERE'"),
    ],
)
def test_a_wrong_factory_or_argument_is_refused(name: str, args: dict[str, str], words: str) -> None:
    assert words in refused(ConfigError, name, **args)


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("json", "expected module:factory"),
        ("not a module:x", "expected module:factory"),
        ("absent_module:x", "no module 'absent_module'"),
        ("tests.partitioner.torch_modles:x", "did you mean 'tests.partitioner.torch_modules'?"),
    ],
)
def test_a_location_that_is_none_is_refused(location: str, words: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        export_factory(location, {})
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("raises", "the factory failed: KeyError"),
        ("leaves", "the factory failed: SystemExit"),
        ("text", "expected a torch.nn.Module or (module, example_inputs), got str"),
        ("without_examples", "say it with --input x="),
        ("wrong_example", "forward fails on x float32 (1, 5): RuntimeError: mat1 and mat2 shapes"),
    ],
)
def test_a_factory_that_makes_nothing_useful_is_refused(name: str, words: str) -> None:
    assert words in refused(ModelError, name)


def test_a_file_of_the_current_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_own_network.py").write_text("import torch\n\ndef make():\n    return torch.nn.Linear(4, 2)\n")
    (tmp_path / "my_broken_network.py").write_text("import module_that_is_not_there\n")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    exported = export_factory("my_own_network:make", {}, input_specs(["features=batch,4"]))
    assert dims(exported)["logits"] == ["batch", 2]
    with pytest.raises(ConfigError, match="needs the module 'module_that_is_not_there'"):
        export_factory("my_broken_network:make", {})
    assert sys.path == before


@pytest.mark.parametrize(
    ("name", "inputs", "words"),
    [
        ("plain", ["x=batch,5"], "the example of"),
        ("without_examples", ["x=batch,4", "z=batch,4"], "--input z: forward of"),
        ("TwoDynamicAxes", ["left=batch,l,4", "rigth=batch,m,4"], "did you mean 'right'?"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(name: str, inputs: list[str], words: str) -> None:
    assert words in refused(ConfigError, name, *inputs)


@pytest.mark.parametrize("text", ["x=batch,5", "x=int64:batch,4", "x=batch,wide(4:8)"])
def test_inputs_that_forward_refuses_are_told_with_its_words(text: str) -> None:
    message = refused(ModelError, "without_examples", text)
    assert "forward fails on x" in message
    assert "torch_modules.py" in message


def test_a_large_network_leaves_its_weights_in_the_folder(tmp_path: Path) -> None:
    exported = export_factory(f"{HERE}:wide", {}, big=tmp_path, large_bytes=0)
    assert len(exported.model.SerializeToString()) < 10_000
    assert [file.name for file in tmp_path.iterdir()] == ["network.onnx.data"]
    (tmp_path / "whole.onnx").write_bytes(exported.model.SerializeToString())
    session = onnxruntime.InferenceSession(tmp_path / "whole.onnx", providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": np.ones((3, 64), np.float32)})[0].shape == (3, 64)


def test_a_large_network_without_a_folder_is_refused() -> None:
    with pytest.raises(ModelError, match="needs a folder"):
        export_factory(f"{HERE}:wide", {}, large_bytes=0)
