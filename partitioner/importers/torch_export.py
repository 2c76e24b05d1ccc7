"""The exporters of torch, best first: dynamo, TorchScript, and both with a fixed batch of one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
import torch
from onnx import ModelProto

from partitioner.importers.exported import OPSET, clean, fixed_batch
from partitioner.importers.foreign import no_native_output
from partitioner.importers.torch_inputs import Inputs
from partitioner.importers.torch_outputs import WRAPPER, Named
from partitioner.inputs import BATCH
from split_core.errors import ModelError

# Protocol buffers end at 2 GB; a graph and its other constants need room beside the weights.
LARGE_BYTES = 1_800_000_000
FILE = "network.onnx"
FIXED = ", fixed batch"

Dims = tuple[tuple[int | str, ...], ...]


@dataclass(frozen=True)
class Exporter:
    """One way from torch to ONNX.

    Attributes:
        name: what is told and recorded.
        fixed: the batch is fixed at one.
        cost: what using it costs, "" for the best.
        graph: network, inputs, their dimensions, output names, folder for a large network's weights -> graph.
    """

    name: str
    fixed: bool
    cost: str
    graph: Callable[[Named, Inputs, Dims, tuple[str, ...], Path | None], ModelProto]

    def dims(self, inputs: Inputs) -> Dims:
        """Dimensions of the inputs as this exporter leaves them."""
        return tuple(fixed_batch(spec.dims) if self.fixed else spec.dims for spec in inputs.specs)

    def with_fixed_batch(self) -> Exporter:
        """The same way, by the name that it has for a network whose inputs have no batch axis to free."""
        return replace(self, name=f"{self.name.removesuffix(FIXED)}{FIXED}")


def folder_for(network: torch.nn.Module, big: Path | None, large_bytes: int) -> Path | None:
    """Where the weights go as external data: `big` for a large network, None for one that fits in a file.

    Raises:
        ModelError: large, and no folder was given.
    """
    size = sum(tensor.nbytes for tensor in (*network.parameters(), *network.buffers()))
    if size <= large_bytes:
        return None
    if big is None:
        raise ModelError(
            f"the network has {size / 1e9:.1f} GB of weights, more than one ONNX file holds; it needs a folder"
        )
    return big


def dynamo_graph(
    network: Named, inputs: Inputs, dims: Dims, outputs: tuple[str, ...], folder: Path | None
) -> ModelProto:
    """Through `torch.export` and onnxscript, optimised; each node knows the block that it comes from."""
    program = torch.onnx.export(
        network,
        inputs.at(_smallest(inputs, dims)),
        input_names=list(inputs.names),
        output_names=list(outputs),
        dynamic_shapes=(_free_axes(dims),),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    return _cleaned(program, folder)


def program_graph(
    program: torch.export.ExportedProgram,
    network: Named,
    inputs: Inputs,
    dims: Dims,
    outputs: tuple[str, ...],
    folder: Path | None,
) -> ModelProto:
    """Of a program that torch has traced already; `network` is not needed, and the axes only get their names."""
    exported = torch.onnx.export(
        program,
        input_names=list(inputs.names),
        output_names=list(outputs),
        dynamic_shapes=_free_axes(dims),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    return _cleaned(exported, folder)


def _free_axes(dims: Dims) -> tuple[dict[int, str], ...]:
    return tuple({axis: dim for axis, dim in enumerate(row) if isinstance(dim, str)} for row in dims)


def _cleaned(program: torch.onnx.ONNXProgram | None, folder: Path | None) -> ModelProto:
    if program is None:
        raise TypeError("the dynamo exporter gave nothing")
    if folder is None:
        model: ModelProto = program.model_proto
    else:
        program.save(folder / FILE, external_data=True)
        model = _graph_of(folder / FILE)
    clean(model, WRAPPER)
    return model


def _graph_of(path: Path) -> ModelProto:
    """The graph of a file, which goes: it names paths of this machine.  The weights beside it stay."""
    model = onnx.load(path, load_external_data=False)
    path.unlink()
    return model


def torchscript_graph(
    network: Named, inputs: Inputs, dims: Dims, outputs: tuple[str, ...], folder: Path | None
) -> ModelProto:
    """Through a trace of one run: what Python decided in that run is decided for good."""
    axes = dict(zip(inputs.names, _free_axes(dims), strict=True))
    with tempfile.TemporaryDirectory() as scratch, no_native_output():
        path = (folder or Path(scratch)) / FILE
        torch.onnx.export(
            network,
            inputs.at(_smallest(inputs, dims)),
            str(path),
            input_names=list(inputs.names),
            output_names=list(outputs),
            dynamic_axes={name: entry for name, entry in axes.items() if entry},
            opset_version=OPSET,
            dynamo=False,
            verbose=False,
        )
        model = _graph_of(path)
    del model.graph.value_info[:]  # its axes carry numbers of the trace for names, and sometimes sizes of it
    clean(model, WRAPPER)
    return model


def _smallest(inputs: Inputs, dims: Dims) -> dict[str, int]:
    """Sizes to export at: a batch of two, because an axis of one is taken to be one for ever."""
    dynamic = any(BATCH in row for row in dims)
    return {**inputs.cases((2,) if dynamic else (1,))[0], BATCH: 2 if dynamic else 1}


NO_BATCHES = "the worker cannot batch, it runs one row at a time"
_NO_SCOPES = "blocks are named after the graph's nodes, and what Python decided while tracing is fixed"
DYNAMO = Exporter("dynamo", False, "", dynamo_graph)
EXPORTERS = (
    DYNAMO,
    Exporter("torchscript", False, _NO_SCOPES, torchscript_graph),
    Exporter(f"dynamo{FIXED}", True, NO_BATCHES, dynamo_graph),
    Exporter(f"torchscript{FIXED}", True, f"{NO_BATCHES}; {_NO_SCOPES}", torchscript_graph),
)
