"""From a module that was trained to a bundle, by the way that every torch module goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from partitioner.build import Wish, partition, planned
from partitioner.cut import cut
from partitioner.importers.request import Request
from partitioner.importers.torch import export_module
from partitioner.importers.torch_inputs import Inputs, inputs_of
from partitioner.importers.traced import network_from
from partitioner.manifest import Identity, manifest_of
from partitioner.network import Network
from partitioner.train.joint.exits import WithExits
from partitioner.train.joint.training import JointlyTrained
from partitioner.verify import Trial
from split_core.errors import DataError
from split_core.files import write_atomically
from split_core.manifest import Manifest

ROWS = 3  # samples to export with


def write_bundle(
    trained: JointlyTrained,
    out: Path,
    identity: Identity,
    *,
    wish: Wish | None = None,
    inputs: Inputs | None = None,
    source: Mapping[str, str] | None = None,
    network_file: Path | None = None,
    tolerance: float = 1e-4,
    say: Callable[[str], None] = lambda step: None,
) -> Path:
    """Export, cut at the exits, prove, write `<out>/<name>/<version>/`; returns that folder.

    Args:
        trained: see `training.train`.
        out: folder of bundles.
        identity: name, version, labels, preprocessing.
        wish: which cuts; None for where the network's exits hang.
        inputs: what the module is exported with; None for some of its samples.
        source: where the module came from, for the manifest.
        network_file: also keep the uncut network here, as ONNX: `offramp verify --model` takes it.
        tolerance: see `Trial`.
        say: is told each step.

    Raises:
        ModelError: the module cannot be exported or cut.
        ConfigError: the identity does not fit it.
        CertificateError: the pieces are not the whole; nothing is written.
        BundleError, DataError: the disk refuses.
    """
    say("exporting")
    with TemporaryDirectory(prefix="offramp-weights-") as room:
        told = {**(source or {}), **trained.facts}
        network = exported(trained.module, inputs or _inputs(trained), told, Path(room), network_file)
        trial = Trial(0, list(trained.proving), tolerance)
        return partition(network, out, identity=identity, wish=wish or Wish(), trial=trial, clock=time.time, say=say)


def exported(
    module: nn.Module, inputs: Inputs, source: Mapping[str, str], room: Path, keep: Path | None = None
) -> Network:
    """The network of a module.

    Args:
        module: in evaluation mode afterwards.
        inputs: what it is called with.
        source: where it came from.
        room: folder for weights that do not fit in one file.
        keep: where to write the graph as well, byte by byte what the manifest's `sha256` is of.

    Raises:
        ModelError: it cannot be exported.
        DataError: the disk refuses, or its weights do not fit in one file.
    """
    made = export_module(type(module).__name__, module, inputs, source, big=room)
    if keep is not None:
        _keep(made.model.SerializeToString(deterministic=True), keep, alone=not any(room.iterdir()))
    return network_from(made, Request(weights=room))


def rehearsed(module: nn.Module, inputs: Inputs, identity: Identity, wish: Wish) -> tuple[Manifest, tuple[str, ...]]:
    """The manifest that the bundle would have now, and what a user should know of it.

    What cannot become a bundle is told before it is trained.

    Raises:
        ModelError, ConfigError: see `write_bundle`.
    """
    with TemporaryDirectory(prefix="offramp-weights-") as room:
        plan = planned(exported(module, inputs, {}, Path(room)), wish)
        return manifest_of(plan.network, cut(plan.network), identity, plan.blocks), plan.network.notes


def inputs_from(module: nn.Module, tensors: Sequence[Tensor], keywords: Sequence[str] | None) -> Inputs:
    """What a module takes, from values."""
    trunk = module.trunk if isinstance(module, WithExits) else module
    examples = tuple(tensors) if keywords is None else dict(zip(keywords, tensors, strict=True))
    return inputs_of(type(trunk).__name__, trunk, (), examples)


def _inputs(trained: JointlyTrained) -> Inputs:
    tensors = [torch.from_numpy(value[:ROWS]) for value in trained.proving]
    return inputs_from(trained.module, tensors, trained.keywords)


def _keep(content: bytes, path: Path, *, alone: bool) -> None:
    if not alone:
        raise DataError(f"{path}: the network does not fit in one file; leave out --network")
    try:
        write_atomically(path, content)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror})") from error
