"""The exporters of torch, best first: dynamo, TorchScript, and both with a fixed batch of one.  Each in, one graph out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from onnx import ModelProto

from partitioner.importers.exported import OPSET, clean, fixed_batch
from partitioner.importers.torch_inputs import Inputs
from partitioner.importers.torch_outputs import WRAPPER, Named
from partitioner.inputs import BATCH
from split_core.errors import ModelError

# Protocol buffers end at 2 GB; a graph and its other constants need room beside the weights.
LARGE_BYTES = 1_800_000_000
FILE = "network.onnx"

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


def folder_for(network: torch.nn.Module, big: Path | None, large_bytes: int) -> Path | None:
    """Where the weights go as external data: `big` for a large network, None for one that fits in a file.

    Raises:
        ModelError: large, and no folder was given.
    """
    size = sum(tensor.nbytes for tensor in (*network.parameters(), *network.buffers()))
    if size <= large_bytes:
        return None
    if big is None:
        raise ModelError(f"the network has {size / 1e9:.1f} GB of weights, more than one ONNX file holds; it needs a folder")
    return big


def dynamo_graph(
    network: Named | torch.export.ExportedProgram, inputs: Inputs, dims: Dims, outputs: tuple[str, ...], folder: Path | None
) -> ModelProto:
    """Through `torch.export` and onnxscript, optimised; each node knows the block that it comes from."""
    shapes = tuple({axis: dim for axis, dim in enumerate(row) if isinstance(dim, str)} for row in dims)
    traced = isinstance(network, torch.export.ExportedProgram)
    program = torch.onnx.export(
        network,
        () if traced else inputs.at(_smallest(inputs, dims)),
        input_names=list(inputs.names),
        output_names=list(outputs),
        dynamic_shapes=None if traced else (shapes,),
        opset_version=OPSET,
        dynamo=True,
        external_data=folder is not None,
        verbose=False,
    )
    assert program is not None
    if folder is None:
        model = program.model_proto
    else:
        program.save(folder / FILE, external_data=True)
        model = onnx.load(folder / FILE, load_external_data=False)
    clean(model, WRAPPER)
    return model


def torchscript_graph(
    network: Named, inputs: Inputs, dims: Dims, outputs: tuple[str, ...], folder: Path | None
) -> ModelProto:
    """Through a trace of one run: what Python decided in that run is decided for good."""
    axes = {
        name: {axis: dim for axis, dim in enumerate(row) if isinstance(dim, str)}
        for name, row in zip(inputs.names, dims, strict=True)
    }
    with tempfile.TemporaryDirectory() as scratch:
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
        )
        model = onnx.load(path, load_external_data=False)
    del model.graph.value_info[:]  # its axes carry numbers of the trace for names, and sometimes sizes of it
    clean(model, WRAPPER)
    return model


def _smallest(inputs: Inputs, dims: Dims) -> dict[str, int]:
    """Sizes to export at: a batch of two, because an axis of one is taken to be one for ever."""
    dynamic = any(BATCH in row for row in dims)
    return {**inputs.cases((2,) if dynamic else (1,))[0], BATCH: 2 if dynamic else 1}


_NO_BATCHES = "the worker cannot batch: it runs one row at a time"
_NO_SCOPES = "blocks are named after the graph's nodes, and what Python decided while tracing is fixed"
DYNAMO = Exporter("dynamo", False, "", dynamo_graph)
EXPORTERS = (
    DYNAMO,
    Exporter("torchscript", False, _NO_SCOPES, torchscript_graph),
    Exporter("torchscript, fixed batch", True, f"{_NO_BATCHES}; {_NO_SCOPES}", torchscript_graph),
    Exporter("dynamo, fixed batch", True, _NO_BATCHES, dynamo_graph),
)
