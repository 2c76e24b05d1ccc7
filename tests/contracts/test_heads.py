"""Whatever `HEADS` holds must do this."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from partitioner.heads import HEADS
from partitioner.heads.base import Head
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.errors import ConfigError
from split_core.tensors import DTYPES, Array, TensorSpec

LOADED: dict[str, Head] = {name: HEADS.load(name)() for name in HEADS}

# What crosses a cut, and which heads suit it.
MAPS = (TensorSpec("maps", "float32", (None, 5, 4, 4)),)
CHANNELS_LAST = (TensorSpec("maps", "float32", (None, 6, 6, 5)),)
PATCHES = (TensorSpec("states", "float32", (None, 7, 5)),)
TOKENS = (TensorSpec("states", "float32", (None, "sequence", 5)),)
MASKED = (*TOKENS, TensorSpec("mask", "int64", (None, "sequence")))
TRUTHS = (TensorSpec("mask", "bool", (None, 1, 1, "sequence")), *TOKENS)
VECTORS = (TensorSpec("vector", "float32", (None, 5)),)
ANY_SIZE = (TensorSpec("maps", "float32", (None, 5, "height", "width")),)
HALVES = (TensorSpec("states", "float16", (None, 7, 5)),)
ALONE = (TensorSpec("maps", "float32", (1, 5, 4, 4)),)
IDS = (TensorSpec("ids", "int64", (None, "sequence")),)

SUITED = [
    ("vision", MAPS),
    ("vision", CHANNELS_LAST),
    ("vision", ANY_SIZE),
    ("vision", ALONE),
    ("sequence", PATCHES),
    ("sequence", TOKENS),
    ("sequence", HALVES),
    ("text", MASKED),
    ("text", TRUTHS),
    ("vector", VECTORS),
    ("vector", MAPS),
]
EVERY = pytest.mark.parametrize(
    ("name", "tensors", "opset"),
    [
        pytest.param(name, tensors, opset, id=f"{name}-{'+'.join(f'{s.dtype}{s.shape}' for s in tensors)}-{opset}")
        for name, tensors in SUITED
        for opset in (13, 18)
    ],
)


def pooled(name: str, tensors: tuple[TensorSpec, ...], opset: int, values: list[Array]) -> Array:
    """What the head's nodes make of these values."""
    codes = {spec.name: helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype)) for spec in tensors}
    inputs = [
        helper.make_tensor_value_info(spec.name, codes[spec.name], ["batch" if d is None else d for d in spec.shape])
        for spec in tensors
    ]
    floats = next(codes[spec.name] for spec in tensors if spec.dtype.startswith("float"))
    output = helper.make_tensor_value_info("made", floats, [None, None])
    graph = helper.make_graph(LOADED[name].pool(tensors, "made", opset), "head", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return OnnxRuntimeBackend("off").load(model.SerializeToString(), threads=1).run(values)[0]


def drawn(tensors: tuple[TensorSpec, ...], rows: int, length: int) -> list[Array]:
    rng = np.random.default_rng(rows + length)
    axes = {"sequence": length, "height": length, "width": length + 2}
    return [
        rng.normal(0, 1, spec.sized(axes, rows)).astype(spec.dtype)
        if spec.dtype.startswith("float")
        else rng.integers(0, 2, spec.sized(axes, rows)).astype(spec.dtype)
        for spec in tensors
    ]


@EVERY
def test_a_head_makes_one_vector_per_sample_at_any_length(
    name: str, tensors: tuple[TensorSpec, ...], opset: int
) -> None:
    for rows in (1, 3) if tensors[0].shape[0] is None else (1,):
        for length in (3, 11):
            made = pooled(name, tensors, opset, drawn(tensors, rows, length))
            assert made.shape == (rows, LOADED[name].features(tensors))
            assert made.dtype == next(spec.dtype for spec in tensors if spec.dtype.startswith("float"))
            assert np.isfinite(made).all()


@EVERY
def test_a_row_is_what_it_is_alone(name: str, tensors: tuple[TensorSpec, ...], opset: int) -> None:
    if tensors[0].shape[0] == 1:
        return
    values = drawn(tensors, 3, 4)
    together = pooled(name, tensors, opset, values)
    for row in range(3):
        alone = pooled(name, tensors, opset, [value[row : row + 1] for value in values])
        np.testing.assert_allclose(together[row : row + 1], alone, rtol=1e-3 if together.dtype == np.float16 else 1e-6)


@pytest.mark.parametrize("name", LOADED)
def test_a_head_says_no_to_what_has_no_values_to_pool(name: str) -> None:
    assert LOADED[name].features(IDS) is None
    assert LOADED[name].features(()) is None
    with pytest.raises(ValueError, match="needs"):
        LOADED[name].pool(IDS, "made", 18)


def test_every_dtype_that_is_not_floating_point_has_no_head() -> None:
    for dtype in (name for name in DTYPES if not name.startswith("float")):
        assert all(head.features((TensorSpec("x", dtype, (None, 3, 4)),)) is None for head in LOADED.values())


def test_the_vision_head_is_the_mean_over_space_wherever_the_channels_are() -> None:
    first, last = drawn(MAPS, 2, 3), drawn(CHANNELS_LAST, 2, 3)
    np.testing.assert_allclose(pooled("vision", MAPS, 18, first), first[0].mean((2, 3)), rtol=1e-5)
    np.testing.assert_allclose(pooled("vision", CHANNELS_LAST, 13, last), last[0].mean((1, 2)), rtol=1e-5)


def test_the_sequence_head_is_the_mean_over_positions() -> None:
    values = drawn(TOKENS, 2, 9)
    np.testing.assert_allclose(pooled("sequence", TOKENS, 13, values), values[0].mean(1), rtol=1e-5, atol=1e-6)


def test_the_vector_head_lays_out_flat() -> None:
    values = drawn(MAPS, 2, 3)
    np.testing.assert_array_equal(pooled("vector", MAPS, 13, values), values[0].reshape(2, -1))


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize("tensors", [MASKED, TRUTHS], ids=["int64", "bool"])
def test_the_text_head_is_the_mean_over_kept_tokens_and_nothing_of_none(
    tensors: tuple[TensorSpec, ...], opset: int
) -> None:
    states = np.random.default_rng(2).normal(0, 1, (3, 4, 5)).astype(np.float32)
    keep = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]])
    values = {"states": states}
    for spec in tensors:
        if spec.name == "mask":
            values["mask"] = keep.astype(spec.dtype).reshape(spec.sized({"sequence": 4}, 3))
    made = pooled("text", tensors, opset, [values[spec.name] for spec in tensors])
    np.testing.assert_allclose(made[0], states[0].mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(made[1], states[1, :2].mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(made[2], np.zeros(5))


def test_the_first_head_that_suits_is_the_one_for_its_kind() -> None:
    def first(tensors: tuple[TensorSpec, ...]) -> str:
        return next(name for name in HEADS if LOADED[name].features(tensors) is not None)

    assert [first(tensors) for tensors in (MAPS, MASKED, TOKENS, VECTORS)] == ["vision", "text", "sequence", "vector"]


def test_a_head_of_another_name_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ConfigError, match="vision"):
        HEADS.load("visoin")


def test_types_of_floats_are_those_of_onnx() -> None:
    assert helper.np_dtype_to_tensor_dtype(np.dtype("float16")) == TensorProto.FLOAT16
