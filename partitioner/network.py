"""An imported network: one ONNX graph whose hidden states, exits and outputs are known by name."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from onnx import ModelProto, TensorProto, helper

from partitioner.compute import macs
from partitioner.dataflow import Dataflow
from partitioner.shapes import BATCH, Shapes, observe
from partitioner.types import types_of
from split_core.errors import ModelError
from split_core.tensors import DTYPES, TensorSpec

COARSE = 1 / 32  # a few steps of 8 bits
QUANTISERS = ("QuantizeLinear", "DynamicQuantizeLinear")


@dataclass(frozen=True)
class Network:
    """What every importer gives.

    Attributes:
        model: the whole network; never changed after import.
        source: where it came from: `file` and `sha256`, and more for a torch module.
        cuts: tensors of the cuts 1..K-1 that are chosen; at first those that the network names itself.
        exits: outputs with the logits of exits 1..K; empty for a network that gives no class logits.
        outputs: what the network makes; the final exit where there are exits.
        offered: exits before the final one that came without a hidden state, in the order of depth.
        axes: two sizes of every dynamic axis but the batch.
        notes: what a user should know about the import, a line each.
        untrained: exits that were attached here.
        folder: where external weights are; None when all are inside.
        seen: the shapes, when they are known already.
    """

    model: ModelProto
    source: dict[str, str]
    cuts: tuple[tuple[str, ...], ...] = ()
    exits: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    offered: tuple[str, ...] = ()
    axes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    untrained: tuple[str, ...] = ()
    folder: Path | None = None
    seen: Shapes | None = field(default=None, repr=False)

    @property
    def finals(self) -> tuple[str, ...]:
        """What the last segment makes."""
        return self.outputs or self.exits[-1:]

    @cached_property
    def flow(self) -> Dataflow:
        """Who makes and who uses each tensor."""
        return Dataflow(self.model.graph)

    @cached_property
    def trunk(self) -> frozenset[int]:
        """Nodes on the way to the outputs; heads are not among them."""
        return frozenset(self.flow.ancestors(self.finals))

    @cached_property
    def types(self) -> dict[str, int]:
        """ONNX element type of every tensor that has one."""
        return types_of(self.model, self.folder)

    @cached_property
    def shapes(self) -> Shapes:
        """How large every variable and sized tensor is, as seen when the network ran."""
        if self.seen is not None:
            return self.seen
        flow = self.flow
        made = [name for node in flow.nodes for name in node.output if name in self.types]
        tensors = [name for name in (*flow.inputs, *made) if name in flow.variable or name in flow.sized]
        return observe(self.model, tensors, self.axes, folder=self.folder)

    @cached_property
    def weight_items(self) -> dict[str, int]:
        """Number of values of every weight."""
        return {item.name: math.prod(item.dims) for item in self.model.graph.initializer}

    @cached_property
    def macs(self) -> list[int]:
        """Multiply-accumulates of every node, for one sample at the first size of every axis."""
        shapes = {**self.shapes.example, **{item.name: tuple(item.dims) for item in self.model.graph.initializer}}
        return [macs(node, shapes) // self.shapes.rows for node in self.flow.nodes]

    @property
    def coarseness(self) -> float:
        """By how much of its scale an output may move because a sum was added up in another order.

        Nothing worth a word in float32; where the network itself rounds to 8 or 16 bits, 1e-7 can turn into a
        whole step.
        """
        quantised = any(node.op_type in QUANTISERS for node in self.flow.nodes)
        halves = {TensorProto.FLOAT16, TensorProto.BFLOAT16} & set(self.types.values())
        return COARSE if quantised or halves else 0.0

    def parameters(self, nodes: Collection[int]) -> int:
        """Number of values of the distinct weights that these nodes take."""
        taken = {name for index in nodes for name in self.flow.taken[index]}
        return sum(count for name, count in self.weight_items.items() if name in taken)

    def spec(self, name: str) -> TensorSpec:
        """Name, dtype and shape of a tensor that may cross a cut; the leading axis is the batch.

        Raises:
            ModelError: its leading axis is not the batch, or it has an odd dtype or no values.
        """
        dims, dtype = self.shapes.dims.get(name, ()), self._dtype(name)
        leading = BATCH if self.shapes.rows > 1 else 1
        if not dims or dims[0] != leading:
            raise ModelError(f"tensor {name!r} is {_written(dims)}: its leading axis is not the batch")
        if 0 in dims or any(isinstance(dim, str) and dim not in self.shapes.axes for dim in dims[1:]):
            raise ModelError(f"tensor {name!r} is {_written(dims)}: it has no values, or the batch in another axis too")
        if dtype not in DTYPES:
            raise ModelError(f"tensor {name!r}: {dtype} cannot cross a cut; expected one of {', '.join(DTYPES)}")
        return TensorSpec(name, dtype, (None if dims[0] == BATCH else 1, *dims[1:]))

    def _dtype(self, name: str) -> str:
        code = self.types.get(name, TensorProto.UNDEFINED)
        return helper.tensor_dtype_to_np_dtype(code).name if code else "unknown"

    def sample_items(self, name: str) -> int:
        """Number of values of one sample, at the first size of every axis."""
        return math.prod(self.shapes.example[name]) // self.shapes.rows


def _written(dims: Sequence[int | str]) -> str:
    return f"({', '.join(map(str, dims))})" if dims else "a scalar"
