from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from torch import Tensor, nn  # noqa: E402

from partitioner.importers.pt2_archive import copy_without_pickles  # noqa: E402
from partitioner.importers.torch import export_program  # noqa: E402
from split_core.errors import ModelError  # noqa: E402
from tests.partitioner import torch_modules  # noqa: E402

DYNAMIC = torch.export.Dim.DYNAMIC


class Sequence(nn.Module):
    """(N, S, 4) and (N, S) -> (N, S, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.layer(x) + mask.unsqueeze(-1)


class Flag:
    """Pickled as a call that leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return (Path.touch, (self.mark,))


def saved(path: Path, network: nn.Module, args: tuple[Any, ...], dynamic_shapes: Any = None) -> Path:
    torch.manual_seed(0)
    torch.export.save(torch.export.export(network.eval(), args, dynamic_shapes=dynamic_shapes), path)
    return path


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    free = {0: DYNAMIC, 1: DYNAMIC}
    args = (torch.randn(2, 5, 4), torch.ones(2, 5))
    return saved(tmp_path_factory.mktemp("pt2") / "sequence.pt2", Sequence(), args, (free, free))


def rewritten(program: Path, path: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """A copy of an archive whose entries went through `change`; None leaves one out."""
    with zipfile.ZipFile(program) as archive, zipfile.ZipFile(path, "w") as made:
        for name in archive.namelist():
            data = change(name.partition("/")[2], archive.read(name))
            if data is not None:
                made.writestr(name, data)
    return path


def refused(path: Path) -> str:
    with pytest.raises(ModelError) as refusal:
        export_program(path)
    message = str(refusal.value)
    assert "\n" not in message
    assert path.name in message
    return message


def edited(program: Path, path: Path, entry: str, edit: Callable[[Any], None]) -> Path:
    """A copy of an archive with one JSON entry edited."""

    def change(name: str, data: bytes) -> bytes:
        if name != entry:
            return data
        tree = json.loads(data)
        edit(tree)
        return json.dumps(tree).encode()

    return rewritten(program, path, change)


def test_a_program_keeps_its_dynamic_axes(program: Path) -> None:
    exported = export_program(program)
    graph = exported.model.graph
    dims = [[dim.dim_param or dim.dim_value for dim in item.type.tensor_type.shape.dim] for item in graph.input]
    assert dims == [["batch", "sequence", 4], ["batch", "sequence"]]
    assert (exported.exporter, exported.notes, exported.axes) == ("dynamo", (), {"sequence": (16, 24)})
    assert exported.source["file"] == "sequence.pt2"
    named = {dim.dim_param for item in graph.value_info for dim in item.type.tensor_type.shape.dim} - {""}
    assert named <= {"batch", "sequence"}
    assert b".py" not in exported.model.SerializeToString()


def test_a_program_gives_what_its_module_gives(program: Path) -> None:
    session = onnxruntime.InferenceSession(
        export_program(program).model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    x, mask = torch.randn(3, 7, 4), torch.randn(3, 7)
    expected = torch.export.load(program).module()(x, mask)
    (got,) = session.run(None, {"x": x.numpy(), "mask": mask.numpy()})
    assert np.allclose(got, expected.detach().numpy(), atol=1e-6)


def test_the_range_of_an_axis_is_respected(tmp_path: Path) -> None:
    sequence = torch.export.Dim("sequence", min=3, max=9)
    free = {0: torch.export.Dim("batch"), 1: sequence}
    path = saved(tmp_path / "short.pt2", Sequence(), (torch.randn(2, 5, 4), torch.ones(2, 5)), (free, free))
    assert export_program(path).axes == {"sequence": (3, 9)}


def test_a_batch_of_one_stays_fixed_and_is_told(tmp_path: Path) -> None:
    exported = export_program(saved(tmp_path / "one.pt2", torch_modules.Plain(), (torch.randn(1, 4),)))
    assert exported.exporter == "dynamo, fixed batch"
    assert "cannot batch" in exported.notes[0]
    assert exported.model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1


def test_another_fixed_batch_is_refused_with_what_to_do(tmp_path: Path) -> None:
    message = refused(saved(tmp_path / "two.pt2", torch_modules.Plain(), (torch.randn(2, 4),)))
    assert "fixed batch 2" in message
    assert 'dynamic_shapes={"x": {0: torch.export.Dim("batch")}}' in message


def test_nothing_is_unpickled(program: Path, tmp_path: Path) -> None:
    mark = tmp_path / "unpickled"
    buffer = io.BytesIO()
    torch.save(((Flag(mark),), {}), buffer)
    bad = rewritten(
        program,
        tmp_path / "bad.pt2",
        lambda name, data: buffer.getvalue() if name.startswith("data/sample_inputs/") else data,
    )
    assert export_program(bad).model.graph.node
    assert not mark.exists()


def test_a_pickled_weight_is_refused(program: Path, tmp_path: Path) -> None:
    def pickle_it(config: Any) -> None:
        config["config"]["layer.bias"]["use_pickle"] = True

    bad = edited(program, tmp_path / "bad.pt2", "data/weights/model_weights_config.json", pickle_it)
    assert "weight 'layer.bias' is pickled, and nothing is ever unpickled" in refused(bad)


@pytest.mark.parametrize("entry", ["custom_obj_0", "opaque_obj_0"])
def test_a_custom_object_is_refused(program: Path, tmp_path: Path, entry: str) -> None:
    def add(config: Any) -> None:
        config["config"]["thing"] = {"path_name": entry, "is_param": False, "use_pickle": True, "tensor_meta": None}

    bad = edited(program, tmp_path / "bad.pt2", "data/constants/model_constants_config.json", add)
    assert "constant 'thing' is pickled" in refused(bad)


@pytest.mark.parametrize("entry", ["data/aotinductor/model/a.so", "data/weights/model.pt", "data/executorch/a.pte"])
def test_compiled_and_old_parts_are_refused(program: Path, tmp_path: Path, entry: str) -> None:
    bad = rewritten(program, tmp_path / "bad.pt2", lambda name, data: data)
    with zipfile.ZipFile(bad, "a") as archive:
        archive.writestr(f"sequence/{entry}", b"x")
    assert "compiled or pickled" in refused(bad)


@pytest.mark.parametrize(
    "target",
    ["torch.load", "torch.ops.load_library", "torch.ops.aten.__class__", "_operator.methodcaller", "os.system"],
)
def test_a_graph_that_calls_something_else_than_operators_is_refused(
    program: Path, tmp_path: Path, target: str
) -> None:
    def call(tree: Any) -> None:
        tree["graph_module"]["graph"]["nodes"][0]["target"] = target

    assert repr(target) in refused(edited(program, tmp_path / "bad.pt2", "models/model.json", call))


@pytest.mark.parametrize(
    "expression", ["__import__('os').getpid()", "exit()", "s0.__class__", "Symbol('s1').subs", "f(2)"]
)
def test_a_size_that_is_a_program_is_refused(program: Path, tmp_path: Path, expression: str) -> None:
    def add(tree: Any) -> None:
        tree["graph_module"]["graph"]["sym_int_values"] = {"n": {"as_expr": {"expr_str": expression, "hint": None}}}

    assert "not arithmetic" in refused(edited(program, tmp_path / "bad.pt2", "models/model.json", add))


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"hello", b"PK\x05\x06" + bytes(18)):
        path = tmp_path / "odd.pt2"
        path.write_bytes(content)
        assert "export or copy it again" in refused(path)
    assert "No such file" in refused(tmp_path / "absent.pt2")


def test_a_pickle_of_a_module_is_refused(tmp_path: Path) -> None:
    torch.save(torch_modules.Plain(), tmp_path / "pickle.pt2")
    assert "not a file of torch.export.save" in refused(tmp_path / "pickle.pt2")


def test_a_truncated_or_damaged_archive_is_refused(program: Path, tmp_path: Path) -> None:
    whole, path = program.read_bytes(), tmp_path / "damaged.pt2"
    for length in range(0, len(whole), len(whole) // 20):
        path.write_bytes(whole[:length])
        assert "export or copy it again" in refused(path)
    rng = np.random.default_rng(3)
    for place in rng.integers(0, len(whole), 60):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        path.write_bytes(bytes(damaged))
        with suppress(ModelError):
            assert copy_without_pickles(path, tmp_path / "copy.pt2")


def test_a_missing_part_is_refused(program: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(program) as archive:
        parts = [name.partition("/")[2] for name in archive.namelist()]
    for part in ("models/model.json", "data/weights/model_weights_config.json", "data/weights/weight_0"):
        assert part in parts
        bad = rewritten(program, tmp_path / "bad.pt2", lambda name, data, part=part: None if name == part else data)
        assert refused(bad)
