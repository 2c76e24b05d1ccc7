"""Random small networks for hypothesis: residuals, concatenations, branches, shared weights, Split.

Every inner tensor has the shape (N, 2, 6), so that any of them may meet any other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import NodeProto, TensorProto, helper, numpy_helper

from partitioner.choose import successive
from partitioner.importers.onnx import network_of as imported
from partitioner.listing import list_cuts
from partitioner.network import Network

CLASSES = 3
ROW = (2, 6)


def value(name: str, *shape: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])


def weights() -> list[TensorProto]:
    """A pool that nodes draw from, so that far-apart nodes share weights."""
    rng = np.random.default_rng(4)
    pool = {f"w_{i}": rng.normal(0, 0.5, (6, 6)) for i in range(3)} | {"linear": rng.normal(0, 0.5, (12, CLASSES))}
    return [numpy_helper.from_array(array.astype(np.float32), name) for name, array in pool.items()]


@st.composite
def nodes(draw: st.DrawFn, inputs: tuple[str, ...]) -> tuple[list[NodeProto], list[str]]:
    """Nodes in topological order, and all tensors of the common shape."""
    made: list[NodeProto] = []
    tensors = list(inputs)

    def recent() -> str:
        # Mostly the last few, so that the graph is deep rather than a star.
        return tensors[-1 - draw(st.integers(0, min(len(tensors) - 1, 3)))]

    for number in range(draw(st.integers(3, 12))):
        kind, out = draw(st.sampled_from(["unary", "matmul", "add", "concat_split", "scale"])), f"t_{number}"
        outputs = [out]
        if kind == "unary":
            made.append(helper.make_node(draw(st.sampled_from(["Relu", "Tanh", "Sigmoid"])), [recent()], [out]))
        elif kind == "matmul":
            made.append(helper.make_node("MatMul", [recent(), f"w_{draw(st.integers(0, 2))}"], [out]))
        elif kind == "add":
            made.append(helper.make_node("Add", [recent(), recent()], [out]))
        elif kind == "scale":
            # One factor per column: a scalar one sets off a bug in onnxruntime's optimiser (see test_verify.py).
            factor = numpy_helper.from_array(np.linspace(0.5, 1.5, 6, dtype=np.float32), f"{out}_value")
            made.append(helper.make_node("Constant", [], [f"{out}_constant"], value=factor))
            made.append(helper.make_node("Mul", [recent(), f"{out}_constant"], [out]))
        else:
            outputs = [f"{out}_a", f"{out}_b"]
            made.append(helper.make_node("Concat", [recent(), recent()], [f"{out}_wide"], axis=1))
            made.append(helper.make_node("Split", [f"{out}_wide"], outputs, axis=1, num_outputs=2))
        tensors.extend(outputs)
    return made, tensors


def head(name: str, tensor: str) -> list[NodeProto]:
    return [
        helper.make_node("Flatten", [tensor], [f"{name}_flat"]),
        helper.make_node("MatMul", [f"{name}_flat", "linear"], [name]),
    ]


def network_of(
    body: list[NodeProto], last: str, inputs: tuple[str, ...], cuts: tuple[tuple[str, ...], ...] = ()
) -> Network:
    """A network that ends in `exit_<K>` on `last`, with a head on the first tensor of every cut."""
    exits = [f"exit_{k}" for k in range(1, len(cuts) + 2)]
    heads = [node for name, tensors in zip(exits, cuts, strict=False) for node in head(name, tensors[0])]
    graph = helper.make_graph(
        [*body, *heads, *head(exits[-1], last)],
        "random",
        [value(name, *ROW) for name in inputs],
        [value(name, CLASSES) for name in exits],
        weights(),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return Network(model, {"file": "random.onnx", "sha256": "0" * 64}, cuts, tuple(exits))


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """A network without heads."""
    inputs = draw(st.sampled_from([("x",), ("x", "y")]))
    body, tensors = draw(nodes(inputs))
    return network_of(body, tensors[-1], inputs)


@st.composite
def cut_networks(draw: st.DrawFn) -> Network:
    """A network with heads at some of its cuts, which are named in `cuts` and follow one another."""
    inputs = draw(st.sampled_from([("x",), ("x", "y")]))
    body, tensors = draw(nodes(inputs))
    network = network_of(body, tensors[-1], inputs)
    rows = [row for row in list_cuts(network) if not row.tensors[0].endswith(("_flat", "_wide"))]
    chosen = [row for row in successive(network, rows) if draw(st.booleans())][:4]
    return network_of(body, tensors[-1], inputs, tuple(row.tensors for row in chosen))


@dataclass(frozen=True)
class Plan:
    """What an image network is drawn with."""

    opset: int
    fixed: bool
    sizes: str
    outputs: str


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    return Plan(
        opset=draw(st.sampled_from([13, 18])),
        fixed=draw(st.sampled_from([False, False, True])),
        sizes=draw(st.sampled_from(["none", "reshape", "expand", "constant", "size"])),
        outputs=draw(st.sampled_from(["logits", "exits", "map", "two"])),
    )


@st.composite
def image_networks(draw: st.DrawFn) -> Network:
    """A network as the importer gives it: any of two opsets, a batch or one sample, sizes in it, several outputs."""
    plan = draw(plans())
    inputs = draw(st.sampled_from([("x",), ("x", "y")]))
    body, tensors = draw(nodes(inputs))
    last = tensors[-1]
    body = [*body, *sized(plan, inputs[0], last)]
    last = "sized" if plan.sizes != "none" else last
    exits = draw(st.lists(st.sampled_from(tensors), max_size=2, unique=True)) if plan.outputs == "exits" else []
    ends = [node for k, tensor in enumerate(exits) for node in head(f"early_{k}", tensor)]
    if plan.outputs in ("logits", "exits", "two"):
        ends += head("answer", last)
    if plan.outputs in ("map", "two"):
        ends.append(helper.make_node("Sin", [last], ["map"]))
    shapes = {"answer": (CLASSES,), "map": ROW, **{f"early_{k}": (CLASSES,) for k in range(len(exits))}}
    made = {name for node in ends for name in node.output}
    batch = 1 if plan.fixed else "batch"
    graph = helper.make_graph(
        [*body, *ends],
        "random",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *ROW]) for name in inputs],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [batch, *row]) for n, row in shapes.items() if n in made],
        weights(),
    )
    if plan.opset < 18:
        for node in graph.node:
            if node.op_type == "Split":
                del node.attribute[1:]
                node.attribute[0].CopyFrom(helper.make_attribute("axis", 1))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", plan.opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return imported(model, {"file": "random.onnx", "sha256": "0" * 64}, {})


def sized(plan: Plan, source: str, last: str) -> list[NodeProto]:
    """Nodes that make `sized` of `last` with the help of the shape of an input, or of nothing but itself."""
    shape = helper.make_node("Shape", [source], ["shape"])
    if plan.sizes == "reshape":
        return [shape, helper.make_node("Reshape", [last, "shape"], ["sized"])]
    if plan.sizes == "expand":
        row = numpy_helper.from_array(np.ones((1, 1, 6), np.float32), "row_value")
        return [
            shape,
            helper.make_node("Constant", [], ["row"], value=row),
            helper.make_node("Expand", ["row", "shape"], ["wide"]),
            helper.make_node("Mul", [last, "wide"], ["sized"]),
        ]
    if plan.sizes == "constant":
        half = helper.make_tensor("half", TensorProto.FLOAT, [1], [0.5])
        return [
            shape,
            helper.make_node("ConstantOfShape", ["shape"], ["halves"], value=half),
            helper.make_node("Add", [last, "halves"], ["sized"]),
        ]
    if plan.sizes == "size":
        return [
            helper.make_node("Size", [source], ["count"]),
            helper.make_node("Cast", ["count"], ["number"], to=TensorProto.FLOAT),
            helper.make_node("Div", [last, "number"], ["sized"]),
        ]
    return []
