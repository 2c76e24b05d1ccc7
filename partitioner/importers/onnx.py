"""ONNX files to networks.  Reads and checks; never changes what the network computes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError, EncodeError
from onnx import GraphProto, ModelProto
from onnx.inliner import inline_local_functions

from partitioner.bounds import check_sparse
from partitioner.importers.axes import with_batch_of_one, with_named_axes, with_one_axis
from partitioner.importers.request import Request
from partitioner.network import Network
from partitioner.roles import with_roles
from partitioner.rows import independent
from partitioner.weights import digest_of, external_files
from split_core.errors import BackendError, ModelError

# What JetPack 6 reads: TensorRT 10.3 and onnxruntime 1.18.
NEWEST_IR = 10
MOST_INSIDE = 1 << 30  # bytes of external weights that are taken into the graph; protobuf ends at 2 GB


def read(location: str, request: Request) -> Network:
    """Load and check one ONNX file, with its external data.

    Args:
        location: path of the file.
        request: its `axes`.

    Raises:
        ModelError: missing, truncated, not ONNX, without its external data, inputs without a batch axis, or a
            network that onnxruntime cannot run.
        ConfigError: sizes for an axis that is not there.
    """
    path = Path(location)
    data = _bytes_of(path)
    model = _parsed(path, data)
    try:
        files = external_files(model, path.parent)
        inside = sum(file.stat().st_size for file in files) <= MOST_INSIDE
        if inside:
            onnx.load_external_data_for_model(model, str(path.parent))
        _check(path, model, inside=inside)
        digest = digest_of(data, files)
        network = network_of(
            model, {"file": path.name, "sha256": digest}, request.axes, folder=None if inside else path.parent
        )
    except (ModelError, BackendError) as error:
        raise ModelError(f"{path}: {error}") from error
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise ModelError(f"{path}: its external weights cannot be read ({_one_line(error)})") from error
    return network


def network_of(
    model: ModelProto,
    source: dict[str, str],
    axes: Mapping[str, tuple[int, int]],
    notes: tuple[str, ...] = (),
    folder: Path | None = None,
) -> Network:
    """The network of a checked model, which is changed: its axes get names, its local functions are inlined.

    Raises:
        ModelError: an input without a batch axis, outputs that are named oddly, or sizes that it does not take.
        BackendError: onnxruntime cannot load it.
    """
    outputs = [output.name for output in model.graph.output]
    if model.functions:
        model = inline_local_functions(model)
    model.ir_version = min(model.ir_version, NEWEST_IR)
    check_sparse(model)
    named = with_named_axes(model, axes)
    network = Network(model, source, outputs=tuple(outputs), axes=named, notes=notes, folder=folder)
    _check_ends(network)
    runs = _that_runs(network)
    for name in runs.flow.inputs:
        runs.spec(name)
    return with_roles(_that_batches(runs), outputs)


def _check_ends(network: Network) -> None:
    """Refuse a network whose inputs or outputs are none."""
    if not network.flow.inputs or not network.outputs:
        raise ModelError("it has no inputs or no outputs; export it with both")
    for name in network.outputs:
        if name in network.flow.inputs or network.outputs.count(name) > 1:
            raise ModelError(f"output {name!r} is an input, or there twice; export the network without it")
        if name not in network.flow.variable:
            raise ModelError(f"output {name!r} does not depend on the values of any input; export without it")
        if name not in network.types:
            raise ModelError(f"output {name!r} is no tensor; networks make tensors")


def _that_runs(network: Network) -> Network:
    """The network as it runs here, with what its file announces taken back step by step, and a note of each."""
    first: ModelError | None = None
    for taken_back in ((), (_one_length,), (_one_sample,), (_one_length, _one_sample)):
        tried = network
        for step in taken_back:
            tried = step(tried)
        try:
            return replace(tried, seen=tried.shapes)
        except ModelError as error:
            first = first or error
    raise first or ValueError("nothing was tried")


def _one_length(network: Network) -> Network:
    """Dynamic axes that are the same but have a name for every input, as some exporters write them."""
    names = list(network.axes)
    if len(names) < 2 or len(set(network.axes.values())) > 1:
        return network
    note = f"the axes {', '.join(names)} are taken to be one: it does not run when one of them alone is longer"
    model, axes = with_one_axis(network.model, names), {names[0]: network.axes[names[0]]}
    return replace(network, model=model, axes=axes, notes=(*network.notes, note))


def _that_batches(network: Network) -> Network:
    """The network with a batch of one where the samples of a larger one would change one another's answers."""
    if network.shapes.rows == 1 or independent(network):
        return network
    note = "the samples of a batch change one another's answers, so that it is taken one sample at a time"
    alone = replace(network, model=with_batch_of_one(network.model), seen=None, notes=(*network.notes, note))
    return replace(alone, seen=alone.shapes)


def _one_sample(network: Network) -> Network:
    """Many a file that announces a dynamic batch only takes one sample."""
    note = "it announces a dynamic batch but runs with one sample only, so that a worker cannot batch"
    return replace(network, model=with_batch_of_one(network.model), notes=(*network.notes, note))


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); expected an .onnx file") from error


def _parsed(path: Path, data: bytes) -> ModelProto:
    try:
        model: ModelProto = onnx.load_model_from_string(data)
    except (DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: not an ONNX file, or a damaged one; export or copy it again") from error
    if not model.graph.node:
        raise ModelError(f"{path}: not an ONNX file, or a damaged one: it has no nodes; export or copy it again")
    if not all(isinstance(name, str) for name in _names(model.graph)):
        raise ModelError(f"{path}: a damaged ONNX file: a name in it is no text; export or copy it again")
    return model


def _names(graph: GraphProto) -> Iterator[str]:
    """All names in a graph.  Protobuf gives those that are not UTF-8 as bytes."""
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        for attribute in node.attribute:
            yield attribute.name
            for inner in (attribute.g, *attribute.graphs):
                yield from _names(inner)
    for item in (*graph.input, *graph.output):
        yield item.name
        yield from (dim.dim_param for dim in item.type.tensor_type.shape.dim)
    yield from (item.name for item in graph.initializer)


def _check(path: Path, model: ModelProto, *, inside: bool) -> None:
    """Refuse what is not valid ONNX.  With its weights outside, the file is checked and not the model in memory."""
    try:
        onnx.checker.check_model(model if inside else str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(f"not a valid ONNX model: {_one_line(error)}") from error
    except UnicodeDecodeError as error:
        raise ModelError("not an ONNX file, or a damaged one; export or copy it again") from error
    except (ValueError, EncodeError) as error:  # protobuf cannot serialise more than 2 GB for the checker
        raise ModelError(f"too large to check ({_one_line(error)})") from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
