"""Any network, cut anywhere, is the same function bit by bit: also at lengths that nobody looked at before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import onnx
from hypothesis import HealthCheck, given, settings

from partitioner.attach import suits, with_cuts, with_exits
from partitioner.choose import successive
from partitioner.cut import Part, cut, whole_with
from partitioner.cuts import find_cuts, lost_shape
from partitioner.listing import list_cuts
from partitioner.network import Network
from split_core.backends.onnxruntime import OnnxRuntimeBackend
from split_core.errors import ModelError
from split_core.tensors import Array
from tests.partitioner.graphs import image_networks
from tests.partitioner.token_graphs import token_networks

LENGTHS = (1, 5, 37)  # not those at which shapes are observed
BATCHES = (1, 3)
OFF = OnnxRuntimeBackend("off")
slowly = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def feeds(network: Network) -> Iterator[list[Array]]:
    rng = np.random.default_rng(9)
    specs = [network.spec(name) for name in network.flow.inputs]
    lengths = LENGTHS if network.axes else LENGTHS[:1]
    for rows in BATCHES if specs[0].shape[0] is None else (1,):
        for length in lengths:
            shapes = [spec.sized(dict.fromkeys(network.axes, length), rows) for spec in specs]
            yield [
                rng.integers(0, 2, shape).astype(spec.dtype)
                if np.dtype(spec.dtype).kind in "iu"
                else rng.standard_normal(shape).astype(spec.dtype)
                for spec, shape in zip(specs, shapes, strict=True)
            ]


def through(parts: Sequence[Part], given: dict[str, Array]) -> dict[str, Array]:
    """All tensors at borders, by name."""
    values = dict(given)
    for part in parts:
        made = OFF.load(part.model, threads=1).run([values[name] for name in part.inputs])
        values.update(zip((name for name in part.outputs if name not in part.inputs), made, strict=True))
    return values


def differing(network: Network) -> set[str]:
    """Tensors at borders that the pieces make other than the whole."""
    parts = cut(network)
    names = [*dict.fromkeys(name for part in (*parts.segments, *parts.heads) for name in part.outputs)]
    names = [name for name in names if name not in network.flow.inputs]
    whole = OFF.load(whole_with(network, names), threads=1)
    for part in (*parts.segments, *parts.heads):
        onnx.checker.check_model(onnx.load_model_from_string(part.model), full_check=True)
    found = set()
    for feed in feeds(network):
        made = through([*parts.segments, *parts.heads], dict(zip(network.flow.inputs, feed, strict=True)))
        for name, value in zip(names, whole.run(feed), strict=True):
            if (made[name].shape, made[name].tobytes()) != (value.shape, value.tobytes()):
                found.add(name)
    return found


def differing_anywhere(network: Network) -> set[str]:
    """The same at every cut alone, and at a chain of them."""
    rows = list_cuts(network)
    found = [differing(replace(network, cuts=(row.tensors,), exits=())) for row in rows]
    if network.exits:
        rows = [row for row in rows if suits(network, row.tensors, None)]
    chain = tuple(row.tensors for row in successive(network, rows))
    return set().union(*found, differing(with_exits(with_cuts(network, chain))))


@slowly
@given(token_networks())
def test_random_transformers_cut_anywhere_are_bit_equal_at_any_length(network: Network) -> None:
    assert differing_anywhere(network) == set()


@slowly
@given(image_networks())
def test_random_networks_of_any_opset_batch_and_outputs_cut_anywhere_are_bit_equal(network: Network) -> None:
    assert differing_anywhere(network) == set()


def dominators(network: Network) -> list[str]:
    """Tensors without which no value of an input reaches any output: found by taking out each in turn."""
    flow = network.flow
    tensors = [name for node in flow.nodes for name in node.output if name in flow.variable]
    return [name for name in tensors if name not in network.finals and not reaches(network, name)]


def reaches(network: Network, without: str) -> bool:
    flow, reached = network.flow, set(network.flow.inputs)
    for node, taken in zip(flow.nodes, flow.taken, strict=True):
        if reached & set(taken):
            reached.update(set(node.output) - {without})
    return bool(reached & set(network.finals))


def can_cross(network: Network, name: str) -> bool:
    """Has it the batch in front, and every size that is needed behind it?"""
    try:
        network.spec(name)
    except ModelError:
        return False
    return lost_shape(network, [name], network.flow.ancestors(network.finals, stop=[name])) is None


def items_above(network: Network, name: str) -> set[str]:
    """Tensors that it is made of."""
    flow = network.flow
    return {n for i in flow.ancestors([name]) for n in (*flow.nodes[i].input, *flow.nodes[i].output)}


def missing(network: Network) -> list[str]:
    """Tensors that alone carry the network and are no cut, with nothing smaller that stands for them."""
    absent = []
    found = {point.tensors[0] for point in find_cuts(network, width=1)}
    for name in dominators(network):
        if name in found or not can_cross(network, name):
            continue
        smaller = [
            other
            for other in (items_above(network, name) & (found | set(network.flow.inputs)))
            if network.sample_items(other) < network.sample_items(name)
        ]
        if not smaller:
            absent.append(name)
    return absent


@slowly
@given(token_networks())
def test_every_tensor_of_a_transformer_that_alone_carries_it_is_listed(network: Network) -> None:
    assert missing(network) == []


@slowly
@given(image_networks())
def test_every_tensor_that_alone_carries_a_network_is_listed(network: Network) -> None:
    assert missing(network) == []
