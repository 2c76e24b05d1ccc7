"""Torch modules and exported programs to networks: one export, then as any ONNX graph."""

from __future__ import annotations

from pathlib import Path

from partitioner.importers.exported import Exported
from partitioner.importers.onnx import network_of
from partitioner.importers.request import Request
from partitioner.importers.torch import export_factory, export_program
from partitioner.network import Network
from partitioner.weights import digest_of, external_files


def read_module(location: str, request: Request) -> Network:
    """The network that `package.module:factory` makes.

    Raises:
        ConfigError: the location, the arguments or the inputs do not fit the user's code.
        ModelError: the network cannot be exported.
    """
    return network_from(export_factory(location, request.args, request.inputs, big=request.weights), request)


def read_program(location: str, request: Request) -> Network:
    """The network of a `.pt2` file that `torch.export.save` wrote.

    Raises:
        ModelError: damaged, or it cannot be exported.
    """
    return network_from(export_program(Path(location), big=request.weights), request)


def network_from(exported: Exported, request: Request) -> Network:
    """The network of an exported graph.

    Raises:
        ModelError: it has no input with a batch axis, or its outputs are named oddly.
    """
    model, outside = exported.model, request.weights
    files = external_files(model, outside) if outside is not None else []
    digest = digest_of(model.SerializeToString(deterministic=True), files)
    source = {**exported.source, "sha256": digest}
    axes = {**exported.axes, **request.axes}
    return network_of(model, source, axes, exported.notes, folder=outside if files else None)
