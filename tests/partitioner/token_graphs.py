"""Random small transformers for hypothesis, as exporters write them: sizes taken from inputs, masks and positions made of them.

States are (N, T, 6).  Shape, Slice, Gather, Concat, Reshape, Expand, Range, ConstantOfShape and Trilu make position
ids and masks; opset 13, or 18 with `start` and `end` on Shape; the batch dynamic, or one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import NodeProto, TensorProto, helper, numpy_helper

from partitioner.importers.onnx import network_of
from partitioner.network import Network

WIDTH, WORDS, LONGEST = 6, 7, 64


@dataclass
class Writer:
    """Nodes and weights of one graph, with small helpers that each append and return the name that they made."""

    opset: int
    nodes: list[NodeProto] = field(default_factory=list)
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    count: int = 0

    def add(self, op: str, *taken: str, outputs: int = 1, **attributes: object) -> str:
        """One node; several outputs are the name with `_0`, `_1`, ... behind it."""
        self.count += 1
        name = f"{op.lower()}_{self.count}"
        made = [name] if outputs == 1 else [f"{name}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, list(taken), made, name=name, **attributes))
        return name

    def ints(self, *values: int) -> str:
        """A weight of int64."""
        return self.weight(np.array(values, np.int64))

    def scalar(self, value: int) -> str:
        """A weight without axes."""
        return self.weight(np.array(value, np.int64))

    def weight(self, array: np.ndarray) -> str:
        """Any weight."""
        self.count += 1
        name = f"weight_{self.count}"
        self.weights[name] = array
        return name

    def size(self, tensor: str, axis: int, how: str) -> str:
        """One size of a tensor as int64 with one axis, in one of the ways that exporters write it."""
        if how == "slice" and self.opset >= 15:
            return self.add("Shape", tensor, start=axis, end=axis + 1)
        shape = self.add("Shape", tensor)
        if how == "slice":
            return self.add("Slice", shape, self.ints(axis), self.ints(axis + 1), self.ints(0))
        if how == "vector":
            return self.add("Gather", shape, self.ints(axis), axis=0)
        one = self.add("Gather", shape, self.scalar(axis), axis=0)
        return self.add("Unsqueeze", one, self.ints(0))

    def number(self, size: str) -> str:
        """A size without its axis."""
        return self.add("Squeeze", size, self.ints(0))


@dataclass
class Recipe:
    """What is drawn: `how` sizes are read, and from where; which masks there are; what each layer does."""

    opset: int
    how: str
    mask: bool
    causal: str
    positions: bool
    again: bool
    fixed: bool
    layers: list[str]
    answer: str
    extra: bool


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    return Recipe(
        opset=draw(st.sampled_from([13, 18])),
        how=draw(st.sampled_from(["slice", "vector", "scalar"])),
        mask=draw(st.booleans()),
        causal=draw(st.sampled_from(["none", "range", "constant"])),
        positions=draw(st.booleans()),
        again=draw(st.booleans()),
        fixed=draw(st.sampled_from([False, False, False, True])),
        layers=draw(st.lists(st.sampled_from(["attention", "mlp", "split", "gate"]), min_size=1, max_size=4)),
        answer=draw(st.sampled_from(["classes", "tokens", "both"])),
        extra=draw(st.booleans()),
    )


def written(recipe: Recipe) -> onnx.ModelProto:
    """The network."""
    rng = np.random.default_rng(5)
    w = Writer(recipe.opset)

    def matrix(made: int = WIDTH, taken: int = WIDTH) -> str:
        return w.weight(rng.normal(0, 0.5, (taken, made)).astype(np.float32))

    table = w.weight(rng.normal(0, 1, (WORDS, WIDTH)).astype(np.float32))
    shared = matrix()
    state = w.add("Gather", table, "ids", axis=0)
    rows, tokens = w.size("ids", 0, recipe.how), w.size("ids", 1, recipe.how)
    if recipe.positions:
        places = w.weight(rng.normal(0, 1, (LONGEST, WIDTH)).astype(np.float32))
        ids = w.add("Range", w.scalar(0), w.number(tokens), w.scalar(1))
        state = w.add("Add", state, w.add("Gather", places, ids, axis=0))
    if recipe.extra:
        state = w.add("Add", state, "extra")
    causal = _causal(w, recipe, tokens, rows)
    mask = _padding(w, rows, tokens) if recipe.mask else None
    for number, kind in enumerate(recipe.layers):
        if recipe.again:  # asked of the state itself, in every layer
            rows, tokens = w.size(state, 0, recipe.how), w.size(state, 1, recipe.how)
        if kind == "attention":
            more = _attention(w, state, matrix, rows, tokens, causal, mask)
        elif kind == "mlp":
            more = w.add("MatMul", w.add("Tanh", w.add("MatMul", state, matrix(12))), matrix(taken=12))
        elif kind == "split":
            sizes = {"num_outputs": 2} if recipe.opset >= 18 else {}
            halves = w.add("Split", w.add("MatMul", state, shared), outputs=2, axis=2, **sizes)
            more = w.add("Concat", f"{halves}_1", f"{halves}_0", axis=2)
        else:
            more = w.add("Mul", w.add("Sigmoid", w.add("MatMul", state, shared)), state)
        state = w.add("Add", state, more) if number % 3 != 2 else more
    outputs = _answers(w, recipe, state, matrix)
    return _model(w, recipe, outputs)


def _causal(w: Writer, recipe: Recipe, tokens: str, rows: str) -> str | None:
    """(1, T, T) or (N, 1, T, T) of 0 and -100, from the length alone."""
    if recipe.causal == "none":
        return None
    if recipe.causal == "range":
        line = w.add("Range", w.scalar(0), w.number(tokens), w.scalar(1))
        later = w.add("Less", w.add("Unsqueeze", line, w.ints(1)), w.add("Unsqueeze", line, w.ints(0)))
        bias = w.add("Mul", w.add("Cast", later, to=TensorProto.FLOAT), w.weight(np.array(-100, np.float32)))
        return w.add("Expand", bias, w.add("Concat", rows, w.ints(1), tokens, tokens, axis=0))
    value = helper.make_tensor("value", TensorProto.FLOAT, [1], [-100.0])
    full = w.add("ConstantOfShape", w.add("Concat", tokens, tokens, axis=0), value=value)
    if recipe.opset < 14:
        return w.add("Unsqueeze", full, w.ints(0))
    return w.add("Unsqueeze", w.add("Trilu", full, w.scalar(1), upper=1), w.ints(0))


def _padding(w: Writer, rows: str, tokens: str) -> str:
    """(N, 1, T, T) of 0 and -100, from the (N, T) mask."""
    wide = w.add("Unsqueeze", "mask", w.ints(1, 2))
    wide = w.add("Expand", wide, w.add("Concat", rows, w.ints(1), tokens, tokens, axis=0))
    off = w.add("Sub", w.weight(np.array(1, np.float32)), w.add("Cast", wide, to=TensorProto.FLOAT))
    return w.add("Mul", off, w.weight(np.array(-100, np.float32)))


def _attention(
    w: Writer, state: str, matrix: object, rows: str, tokens: str, causal: str | None, mask: str | None
) -> str:
    shape = w.add("Concat", rows, tokens, w.ints(2, 3), axis=0)

    def heads() -> str:
        made = w.add("Reshape", w.add("MatMul", state, matrix()), shape)  # type: ignore[operator]
        return w.add("Transpose", made, perm=[0, 2, 1, 3])

    query, key, value = heads(), heads(), heads()
    scores = w.add("MatMul", query, w.add("Transpose", key, perm=[0, 1, 3, 2]))
    for bias in (causal, mask):
        scores = w.add("Add", scores, bias) if bias else scores
    mixed = w.add("Transpose", w.add("MatMul", w.add("Softmax", scores, axis=3), value), perm=[0, 2, 1, 3])
    flat = w.add("Concat", rows, tokens, w.ints(WIDTH), axis=0)
    return w.add("MatMul", w.add("Reshape", mixed, flat), matrix())  # type: ignore[operator]


def _answers(w: Writer, recipe: Recipe, state: str, matrix: object) -> list[tuple[str, list[int | str]]]:
    outputs: list[tuple[str, list[int | str]]] = []
    if recipe.answer != "tokens":
        first = w.add("Gather", state, w.scalar(0), axis=1)
        outputs.append((w.add("MatMul", first, matrix(3)), [3]))  # type: ignore[operator]
    if recipe.answer != "classes":
        outputs.append((w.add("MatMul", state, matrix(WORDS)), ["sequence", WORDS]))  # type: ignore[operator]
    return outputs


def _model(w: Writer, recipe: Recipe, outputs: list[tuple[str, list[int | str]]]) -> onnx.ModelProto:
    batch = 1 if recipe.fixed else "batch"
    inputs = [helper.make_tensor_value_info("ids", TensorProto.INT64, [batch, "sequence"])]
    if recipe.mask:
        inputs.append(helper.make_tensor_value_info("mask", TensorProto.INT64, [batch, "sequence"]))
    if recipe.extra:
        inputs.append(helper.make_tensor_value_info("extra", TensorProto.FLOAT, [batch, 1, WIDTH]))
    graph = helper.make_graph(
        w.nodes,
        "tokens",
        inputs,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *row]) for name, row in outputs],
        [numpy_helper.from_array(array, name) for name, array in w.weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", recipe.opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


@st.composite
def token_networks(draw: st.DrawFn) -> Network:
    """As the importer gives them."""
    return network_of(written(draw(recipes())), {"file": "tokens.onnx", "sha256": "0" * 64}, {})
