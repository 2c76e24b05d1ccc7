"""An imported network: one ONNX graph whose hidden states and exits are known by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import onnx
from onnx import ModelProto, ValueInfoProto

from partitioner.dataflow import Dataflow
from split_core.errors import ModelError
from split_core.tensors import DTYPES, TensorSpec

# `hidden_3`, or `hidden_3_mask` for a second tensor that crosses with it.
HIDDEN = re.compile(r"^hidden_(\d+)(?:_\w+)?$")
EXIT = re.compile(r"^exit_(\d+)$")


@dataclass(frozen=True)
class Network:
    """What every importer gives.

    Attributes:
        model: the whole network; never changed after import.
        source: `file` and `sha256` of where it came from.
        cuts: tensors of the cuts 1..K-1 that the network names itself.
        exits: outputs with the logits of exits 1..K.
    """

    model: ModelProto
    source: dict[str, str]
    cuts: tuple[tuple[str, ...], ...]
    exits: tuple[str, ...]

    @property
    def final(self) -> str:
        """The tensor with the final exit's logits."""
        return self.exits[-1]

    @cached_property
    def flow(self) -> Dataflow:
        """Who makes and who uses each tensor."""
        return Dataflow(self.model.graph)

    @cached_property
    def _values(self) -> dict[str, ValueInfoProto]:
        inferred = onnx.shape_inference.infer_shapes(self.model, data_prop=True).graph
        return {item.name: item for item in (*inferred.value_info, *inferred.input, *inferred.output)}

    def value(self, name: str) -> ValueInfoProto:
        """Type and shape of a tensor, inferred where the file does not say.

        Raises:
            ModelError: neither said nor inferable.
        """
        value = self._values.get(name)
        if value is None or not value.type.tensor_type.HasField("shape"):
            raise ModelError(f"tensor {name!r}: its shape cannot be inferred; export the network with shapes")
        return value

    def spec(self, name: str) -> TensorSpec:
        """Name, dtype and shape of a tensor that may cross a cut; the leading axis is the batch.

        Raises:
            ModelError: shape unknown, no dynamic batch, another dynamic axis, or an odd dtype.
        """
        tensor = self.value(name).type.tensor_type
        dims = [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]
        if not dims or dims[0] is not None:
            said = f"has the fixed batch {dims[0]}" if dims else "is a scalar"
            raise ModelError(f"tensor {name!r} {said}; export the network with a dynamic leading batch axis")
        for axis, size in enumerate(dims[1:], 1):
            if size is None:
                raise ModelError(f"tensor {name!r}: axis {axis} is dynamic; only the batch (axis 0) may be")
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name if tensor.elem_type else "unknown"
        if dtype not in DTYPES or 0 in dims:
            raise ModelError(f"tensor {name!r}: {dtype} {dims} cannot cross a cut; expected one of {', '.join(DTYPES)}")
        return TensorSpec(name, dtype, tuple(dims))


def roles_of(outputs: Sequence[str]) -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
    """Cuts and exits by output name: `hidden_<k>` (and `hidden_<k>_<more>`), `exit_<k>`.

    A network with one output of any other name is a bare one: one exit, no cuts.

    Raises:
        ModelError: a gap in the numbers, a hidden state too many, or an output with another name.
    """
    if len(outputs) == 1 and not HIDDEN.match(outputs[0]):
        return (), (outputs[0],)
    strange = [name for name in outputs if not HIDDEN.match(name) and not EXIT.match(name)]
    if strange:
        raise ModelError(
            f"output {strange[0]!r}: expected hidden states named hidden_<k> and logits named exit_<k>, "
            f"or one output only; got {', '.join(outputs)}"
        )
    exits = _numbered(outputs, EXIT, "exit")
    cuts = _numbered(outputs, HIDDEN, "hidden")
    if len(cuts) != len(exits) - 1 or any(len(names) > 1 for names in exits):
        raise ModelError(f"{len(exits)} exits need {len(exits) - 1} hidden states before them, got {len(cuts)}")
    return cuts, tuple(names[0] for names in exits)


def _numbered(outputs: Sequence[str], pattern: re.Pattern[str], kind: str) -> tuple[tuple[str, ...], ...]:
    """Names that fit, grouped by their number, which must run from 1 without a gap."""
    groups: dict[int, list[str]] = {}
    for name in outputs:
        if match := pattern.match(name):
            groups.setdefault(int(match.group(1)), []).append(name)
    missing = sorted(set(range(1, max(groups, default=0) + 1)) - set(groups))
    if missing or 0 in groups:
        raise ModelError(f"outputs {kind}_<k> must count from 1; {kind}_{missing[0] if missing else 0} is out of line")
    return tuple(tuple(groups[number]) for number in sorted(groups))
