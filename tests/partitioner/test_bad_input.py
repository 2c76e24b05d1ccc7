"""Whatever is wrong with a network: one line that says it, the documented exit code, and nothing half-written."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, helper, numpy_helper

from partitioner.cuts import find_cuts
from partitioner.importers.onnx import network_of
from partitioner.sources import read_network
from split_core import bundle
from split_core.cli import main
from split_core.errors import BackendError, BundleError, ConfigError, MissingExtra, ModelError
from tests.partitioner.token_graphs import Recipe, written
from tests.tiny import tiny_model

HEAD = '<ir_version: 8, opset_import: ["": 18]>\n'
TERA = 10**12


def parsed(body: str) -> ModelProto:
    return onnx.parser.parse_model(HEAD + body)


def plain() -> ModelProto:
    return parsed(
        """g (float[batch, 3] x) => (float[batch, 3] y) <float[3, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9}> {
            a = MatMul(x, w)
            b = Relu(a)
            y = Tanh(b)
        }"""
    )


def bomb(node: str) -> str:
    """A few bytes that ask for terabytes in the tensor `c`."""
    return f"""g (float[batch, 3] x) => (float[batch, 3] y)
        <int64[1] tera = {{{TERA}}}, int64[3] wide = {{{TERA}, 1, 1}}, int64[4] pads = {{0, {TERA}, 0, 0}},
         int64 end = {{{TERA}}}, int64 zero = {{0}}, int64 one = {{1}}, float big = {{27.0}}, int64[1] flat = {{1}}> {{
        a = Relu(x)
        {node}
        s = ReduceMean<keepdims = 0>(c)
        b = Add(a, s)
        y = Tanh(b)
    }}"""


def changed(change: Callable[[ModelProto], Any]) -> ModelProto:
    model = plain()
    change(model)
    return model


def external(**facts: str) -> ModelProto:
    """The weight is elsewhere, and these are the facts about where."""
    model = plain()
    weight = model.graph.initializer[0]
    weight.ClearField("float_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": "w.data", "offset": "0", "length": "36", **facts}.items():
        weight.external_data.add(key=key, value=value)
    return model


def sparse() -> ModelProto:
    model = plain()
    item = onnx.SparseTensorProto(dims=[1_000_000, 1_000_000])
    item.values.CopyFrom(numpy_helper.from_array(np.ones(1, np.float32), "lots"))
    item.indices.CopyFrom(numpy_helper.from_array(np.zeros(1, np.int64), "lots_indices"))
    model.graph.sparse_initializer.append(item)
    return model


def newest(model: ModelProto) -> None:
    model.opset_import[0].version = 999


def custom(model: ModelProto) -> None:
    model.opset_import.add(domain="my.operators", version=1)
    model.graph.node[1].domain, model.graph.node[1].op_type = "my.operators", "Mystery"


def same_output(model: ModelProto) -> None:
    model.graph.node[1].output[0] = "a"


def absurd_weight(model: ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [1_000_000, 1_000_000]


def no_inputs() -> ModelProto:
    return parsed("g () => (float[3] y) <float[3] w = {1, 2, 3}> { a = Relu(w)\n y = Tanh(a) }")


def one_op(signature: str, op: str = "Tanh(a)") -> ModelProto:
    return parsed(f"g {signature} {{ a = Relu(x)\n y = {op} }}")


BAD: dict[str, tuple[Callable[[], ModelProto], str]] = {
    "ConstantOfShape of terabytes": (lambda: parsed(bomb("c = ConstantOfShape(tera)")), "GB"),
    "Expand of terabytes": (lambda: parsed(bomb("c = Expand(a, wide)")), "GB"),
    "Pad of terabytes": (lambda: parsed(bomb("c = Pad(a, pads)")), "GB"),
    "Range of terabytes": (lambda: parsed(bomb("r = Range(zero, end, one)\n c = Cast<to = 1>(r)")), "GB"),
    "a size that is computed": (
        lambda: parsed(bomb("e = Exp(big)\n i = Cast<to = 7>(e)\n n = Reshape(i, flat)\n c = ConstantOfShape(n)")),
        "GB",
    ),
    "an input of terabytes": (
        lambda: one_op("(float[batch, 1000000, 1000000] x) => (float[batch, 1000000, 1000000] y)"),
        "GB",
    ),
    "sparse weights of terabytes": (sparse, "GB"),
    "weights with absurd sizes": (lambda: changed(absurd_weight), "not a valid ONNX model"),
    "an operator set of the future": (lambda: changed(newest), "onnxruntime cannot load"),
    "an unknown domain": (lambda: changed(custom), "Mystery"),
    "two tensors of one name": (lambda: changed(same_output), "single static assignment"),
    "two weights of one name": (
        lambda: changed(lambda m: m.graph.initializer.append(m.graph.initializer[0])),
        "not unique",
    ),
    "an output twice": (lambda: changed(lambda m: m.graph.output.append(m.graph.output[0])), "there twice"),
    "an output that is an input": (lambda: changed(lambda m: m.graph.output.append(m.graph.input[0])), "is an input"),
    "an output from weights": (
        lambda: parsed(
            """g (float[batch, 3] x) => (float[batch, 3] y, float[3] z) <float[3] w = {1, 2, 3}> {
                y = Relu(x)
                z = Relu(w)
            }"""
        ),
        "'z' does not depend on the values of any input",
    ),
    "no inputs": (no_inputs, "no inputs or no outputs"),
    "no outputs": (lambda: changed(lambda m: m.graph.output.pop()), "no inputs or no outputs"),
    "a scalar input": (lambda: one_op("(float x) => (float y)"), "'x' is a scalar"),
    "a fixed batch of eight": (lambda: one_op("(float[8, 3] x) => (float[8, 3] y)"), "fixed batch 8"),
    "an empty axis": (lambda: one_op("(float[N, 0] x) => (float[N, 0] y)"), "no values"),
    "text": (
        lambda: parsed("g (string[N, 3] x) => (string[N, 3] y) { a = Identity(x)\n y = Identity(a) }"),
        "cannot cross a cut",
    ),
    "a sequence": (
        lambda: one_op("(float[N, 3] x) => (seq(float[N, 1]) y)", "SplitToSequence<axis = 1>(a)"),
        "'y' is no tensor",
    ),
    "weights that are not there": (external, "w.data are missing"),
    "weights outside the folder": (lambda: external(location="../w.data"), "outside the model's folder"),
    "weights at the root": (lambda: external(location="/etc/passwd"), "outside the model's folder"),
    "weights at no number": (lambda: external(location="there.data", offset="ten"), "cannot be read"),
    "weights before the start": (lambda: external(location="there.data", offset="-8"), "cannot be read"),
    "too few weights": (lambda: external(location="there.data", length="8"), "not a valid ONNX model"),
    "weights behind the end": (lambda: external(location="there.data", offset="10"), "too short"),
    "nowhere to cut": (lambda: parsed("g (float[N, 3] x) => (float[N, 3] y) { y = Relu(x) }"), "no place where"),
    "what is random": (
        lambda: parsed(
            """g (float[N, 3] x) => (float[N, 3] y) {
                a = Relu(x)
                r = RandomNormalLike(a)
                b = Add(a, r)
                y = Tanh(b)
            }"""
        ),
        "NOT bit-equal",
    ),
}


def refused(capsys: pytest.CaptureFixture[str], out: Path, code: int, *words: object) -> str:
    """The one line on standard error; nothing stays behind."""
    assert main(["partition", *map(str, words), "--out", str(out)]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = [line for line in captured.err.splitlines() if not line.startswith("offramp: note:")]
    assert len(lines) == 1, lines
    assert not out.exists()
    return lines[0]


@pytest.mark.parametrize("what", BAD)
def test_a_bad_network_is_one_line_and_writes_nothing(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, words = BAD[what]
    (tmp_path / "there.data").write_bytes(bytes(36))
    path = tmp_path / "bad.onnx"
    path.write_bytes(make().SerializeToString())
    assert words in refused(capsys, tmp_path / "out", ModelError.exit_code, path)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.onnx"
    path.write_bytes(tiny_model().SerializeToString())
    return path


@pytest.mark.parametrize(
    ("code", "words", "options"),
    [
        (ModelError.exit_code, "did you mean 'hidden_1'", ["--cuts", "hiden_1"]),
        (ModelError.exit_code, "is before hidden_2", ["--cuts", "hidden_2,hidden_1"]),
        (ModelError.exit_code, "ask for fewer", ["--cuts", "1000"]),
        (ModelError.exit_code, "no text head suits", ["--cuts", "a_1", "--head", "text"]),
        (ConfigError.exit_code, "did you mean 'vision'", ["--cuts", "a_1", "--head", "visoin"]),
        (ConfigError.exit_code, "expected at least 1", ["--cuts", "0"]),
        (ConfigError.exit_code, "no dynamic axis named 'sequence'", ["--axis", "sequence=8:16"]),
        (ConfigError.exit_code, "--arg and --input are for", ["--arg", "size=tiny"]),
        (ModelError.exit_code, "cannot be read", ["--profile", "nowhere.yaml"]),
        (ConfigError.exit_code, "name", ["--name", "../up"]),
    ],
)
def test_a_wrong_wish_is_one_line_and_writes_nothing(
    code: int, words: str, options: list[str], tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in refused(capsys, tmp_path / "out", code, tiny, *options)


def test_sizes_that_the_network_cannot_run_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = Recipe(18, "slice", False, "none", True, False, False, ["attention", "mlp"], "classes", False)
    path = tmp_path / "tokens.onnx"
    path.write_bytes(written(recipe).SerializeToString())  # it has places for 64 tokens
    assert read_network(str(path)).axes == {"sequence": (16, 24)}
    said = refused(capsys, tmp_path / "out", ModelError.exit_code, path, "--axis", "sequence=16:100")
    assert "does not run at sequence 100" in said
    assert "--axis" in said


WHOLE = {
    "tiny": tiny_model().SerializeToString(),
    "tokens": written(
        Recipe(13, "scalar", True, "range", True, True, False, ["attention", "split"], "both", True)
    ).SerializeToString(),
}
KNOWN = (ModelError, BackendError)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(WHOLE)), st.floats(0, 1, exclude_max=True))
def test_a_file_that_ends_early_is_refused(tmp_path_factory: pytest.TempPathFactory, name: str, share: float) -> None:
    path = tmp_path_factory.getbasetemp() / "early.onnx"
    path.write_bytes(WHOLE[name][: int(share * len(WHOLE[name]))])
    with pytest.raises(KNOWN):
        read_network(str(path))


def outcome(path: Path) -> str:
    """What importing it says."""
    try:
        return f"a network with {len(read_network(str(path)).finals)} outputs"
    except KNOWN as error:
        return str(error)


damage = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(list(WHOLE)), damage)
def test_a_damaged_file_gives_a_network_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, name: str, places: list[tuple[float, int]]
) -> None:
    data = bytearray(WHOLE[name])
    for share, byte in places:
        data[int(share * len(data))] = byte
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    path.write_bytes(bytes(data))
    said = outcome(path)
    assert said.startswith((f"{path}: ", "a network"))
    assert "\n" not in said


def test_a_disk_that_is_full_in_the_middle_is_one_line_and_leaves_nothing(tiny: Path, tmp_path: Path) -> None:
    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))  # no file may be longer; the pieces are

    command = "import signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); from split_core.cli import main; "
    command += "sys.exit(main(sys.argv[1:]))"
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-B", "-c", command, "partition", str(tiny), "--out", str(out)],
        preexec_fn=small_disk,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == BundleError.exit_code
    assert done.stderr.count("\n") == 1
    assert "File too large" in done.stderr
    assert not out.exists()


def test_a_disk_that_is_full_leaves_an_older_bundle_as_it_was(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["partition", str(tiny), "--out", str(out)]) == 0
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    loaded = bundle.load(out / "tiny" / "1")

    def fails(_: Any) -> dict[str, Any]:
        raise OSError(28, "No space left on device")

    with pytest.raises(BundleError, match="No space left on device"):
        bundle.write(out, loaded.manifest, loaded.copy(), fails)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert [path.name for path in (out / "tiny").iterdir()] == ["1"]


def test_the_exit_codes_are_those_of_the_documentation() -> None:
    codes = [error.exit_code for error in (ConfigError, ModelError, BundleError, BackendError, MissingExtra)]
    assert codes == [2, 3, 3, 4, 4]


GOOD: dict[str, str] = {
    "recurrent": """g (float[N, 5, 3] x) => (float[N, 4] y)
        <int64 zero = {0}, int64[1] front = {0}, int64[1] tail = {4}, int64[1] one = {1},
         float unused = {0.0}> {
        steps = Transpose<perm = [1, 0, 2]>(x)
        shape = Shape(x)
        rows = Gather(shape, front)
        start = Concat<axis = 0>(one, rows, tail)
        h0 = ConstantOfShape(start)
        c0 = ConstantOfShape(start)
        all, last, cell = LSTM<hidden_size = 4>(steps, w, r, , , h0, c0)
        h = Squeeze(last, front)
        k = Tanh(h)
        y = Sigmoid(k)
    }""",
    "onnxruntime's own operators": """g (float[N, 3] x) => (float[N, 3] y)
        <float[3, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9}, float[3] bias = {1, 2, 3}> {
        a = MatMul(x, w)
        b = com.microsoft.BiasGelu(a, bias)
        c = MatMul(b, w)
        d = com.microsoft.FusedMatMul(c, w)
        y = Sigmoid(d)
    }""",
    "If": """g (float[N, 3] x) => (float[N, 3] y) <float zero = {0.0}> {
        a = Relu(x)
        s = ReduceSum<keepdims = 0>(a)
        c = Greater(s, zero)
        b = If (c) <then_branch = t () => (float[N, 3] p) { p = Tanh(a) },
                    else_branch = e () => (float[N, 3] q) { q = Sin(a) }>
        d = Exp(b)
        y = Sigmoid(d)
    }""",
    "If on shapes": """g (float[N, 3] x) => (float[N, 3] y) <float zero = {0.0}, int64[2] one = {1, 1}> {
        a = Relu(x)
        h = Tanh(a)
        n = Shape(a)
        g1 = Greater(n, one)
        g2 = Cast<to = 7>(g1)
        g3 = ReduceMin<keepdims = 0>(g2)
        c = Cast<to = 9>(g3)
        b = If (c) <then_branch = t () => (float[N, 3] p) { sh = Shape(a)
                                                          p = Expand(zero, sh) },
                    else_branch = e () => (float[N, 3] q) { q = Sin(h) }>
        k = Add(b, h)
        y = Sigmoid(k)
    }""",
    "Loop": """g (float[N, s] x) => (float[N, s] y) <bool t = {1}, int64 one = {1}> {
        a = Relu(x)
        sh = Shape(a)
        n = Gather(sh, one)
        b = Loop (n, t, a) <body = lb (int64 i, bool c, float[N, s] v) => (bool co, float[N, s] vo) {
            co = Identity(c)
            vo = Tanh(v)
        }>
        d = Exp(b)
        y = Sigmoid(d)
    }""",
    "a dropout's mask that nobody takes": """g (float[N, 3] x) => (float[N, 3] y) {
        a = Relu(x)
        b, unused = Dropout(a)
        c = Tanh(b)
        y = Sigmoid(c)
    }""",
    "identities": """g (float[N, 3] x) => (float[N, 3] y) {
        a = Identity(x)
        b = Identity(a)
        c = Relu(b)
        d = Identity(c)
        y = Identity(d)
    }""",
    "an output that is an inner tensor": """g (float[N, 3] x) => (float[N, 4] y, float[N, 3] b)
        <float[3, 4] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3}> {
        a = Relu(x)
        b = Tanh(a)
        c = Sigmoid(b)
        d = Sin(c)
        y = MatMul(d, w)
    }""",
    "the shape of a constant": """g (float[N, 3] x) => (float[N, 3] y) <float[3] w = {1, 2, 3}> {
        a = Relu(x)
        s = Shape(w)
        c = ConstantOfShape(s)
        b = Add(a, c)
        y = Sigmoid(b)
    }""",
    "an input that is used late": """g (float[N, 3] x, float[N, 3] late) => (float[N, 3] y) {
        a = Relu(x)
        b = Sigmoid(a)
        c = Add(b, late)
        y = Tanh(c)
    }""",
    "an input that nobody uses": """g (float[N, 3] x, float[N, 2] unused) => (float[N, 3] y) {
        a = Relu(x)
        b = Sigmoid(a)
        y = Tanh(b)
    }""",
    "a size that depends on values": """g (float[N, 3] x) => (float[N, 3] y) {
        a = Relu(x)
        b = NonZero(a)
        c = Cast<to = 1>(b)
        d = ReduceMean<keepdims = 0>(c)
        e = Add(a, d)
        y = Tanh(e)
    }""",
    "a sequence inside": """g (float[N, 3] x) => (float[N, 3] y) <int64 i = {0}> {
        a = Relu(x)
        s = SplitToSequence<axis = 1>(a)
        t = SequenceAt(s, i)
        z = Mul(t, a)
        y = Tanh(z)
    }""",
}


def good(what: str) -> ModelProto:
    model = parsed(GOOD[what])
    model.opset_import.add(domain="com.microsoft", version=1)
    rng = np.random.default_rng(6)
    shapes = {"w": (1, 16, 3), "r": (1, 16, 4)} if what == "recurrent" else {}
    for name, shape in shapes.items():
        model.graph.initializer.append(numpy_helper.from_array(rng.normal(0, 1, shape).astype(np.float32), name))
    return model


@pytest.mark.parametrize("what", GOOD)
def test_an_odd_network_is_cut_everywhere_and_proved(what: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.onnx"
    path.write_bytes(good(what).SerializeToString())
    assert main(["partition", str(path), "--cuts", "all", "--out", str(tmp_path / "out")]) == 0
    assert bundle.load(tmp_path / "out" / "odd" / "1").manifest.exits >= 2


def test_cuts_are_found_behind_operators_that_onnx_does_not_know() -> None:
    found = {point.tensors for point in find_cuts(network_of(good("onnxruntime's own operators"), {}, {}))}
    assert found == {("a",), ("b",), ("c",), ("d",)}


def test_weights_that_old_exporters_list_as_inputs_are_no_inputs(tmp_path: Path) -> None:
    model = plain()
    model.graph.input.append(helper.make_tensor_value_info("w", 1, [3, 3]))
    assert network_of(model, {}, {}).flow.inputs == ("x",)


@pytest.mark.parametrize("name", ["3*seq + 1", "batch", "a.b", "\u00fc"])
def test_an_axis_of_any_name_gets_one_that_can_be_written(name: str) -> None:
    model = parsed("g (float[N, T] x) => (float[N, T] y) { a = Relu(x)\n b = Sin(a)\n y = Tanh(b) }")
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = name
    network = network_of(model, {}, {})
    (axis,) = network.axes
    assert axis.isidentifier()
    assert network.spec("a").shape == (None, axis)


def test_a_tensor_whose_batch_is_not_in_front_is_not_offered() -> None:
    model = parsed(
        """g (float[N, 5, 3] x) => (float[N, 5, 3] y) {
            a = Relu(x)
            b = Transpose<perm = [1, 0, 2]>(a)
            c = Tanh(b)
            d = Transpose<perm = [1, 0, 2]>(c)
            e = Sigmoid(d)
            y = Sin(e)
        }"""
    )
    found = {name for point in find_cuts(network_of(model, {}, {})) for name in point.tensors}
    assert {"a", "d", "e"} <= found
    assert not {"b", "c"} & found


def test_a_tensor_whose_rows_are_not_samples_is_not_offered() -> None:
    model = parsed(
        """g (float[N, 5, 3] x) => (float[N, 5, 3] y) <int64[2] flat = {-1, 3}, int64[3] back = {-1, 5, 3}> {
            a = Relu(x)
            b = Reshape(a, flat)
            c = Tanh(b)
            d = Reshape(c, back)
            y = Sigmoid(d)
        }"""
    )
    found = {name for point in find_cuts(network_of(model, {}, {})) for name in point.tensors}
    assert found == {"a", "d"}
