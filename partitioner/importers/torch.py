"""Torch networks to one checked ONNX graph: `module:factory`, or a program of `torch.export` in a `.pt2`."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import nn

from partitioner.importers.exported import Exported
from partitioner.importers.module import built
from partitioner.importers.torch_export import DYNAMO, EXPORTERS, LARGE_BYTES, folder_for, program_graph
from partitioner.importers.torch_inputs import Inputs, inputs_of
from partitioner.importers.torch_ladder import Subject, exported
from partitioner.importers.torch_outputs import Named
from partitioner.importers.torch_program import ProgramCall, inputs_of_program, loaded
from partitioner.inputs import InputSpec
from split_core.errors import MissingExtra
from split_core.files import sha256_of_file


def export_factory(
    location: str,
    args: Mapping[str, str],
    inputs: Sequence[InputSpec] = (),
    *,
    big: Path | None = None,
    large_bytes: int = LARGE_BYTES,
) -> Exported:
    """Make the network, export it and prove the graph against it.

    Args:
        location: `package.module:factory`.
        args: the factory's keyword arguments, values as YAML.
        inputs: what the network takes; else from the factory's examples, else from a `transformers` config.
        big: folder for the weights of a network that does not fit in one file.
        large_bytes: from which size of the weights on that is.

    Raises:
        ConfigError: `location`, `args` or `inputs` do not fit the user's code.
        ModelError: the network does not run on its inputs, or cannot be exported.
        MissingExtra: onnxscript is not installed.
    """
    check_installed()
    network, examples = built(location, args)
    prepared = inputs_of(location, network, inputs, examples)
    return export_module(location, network, prepared, source_of(location, args), big=big, large_bytes=large_bytes)


def source_of(location: str, args: Mapping[str, str]) -> dict[str, str]:
    """What a manifest says of where a module came from."""
    return {"module": location, "args": " ".join(f"{key}={value}" for key, value in sorted(args.items()))}


def export_module(
    location: str,
    network: nn.Module,
    inputs: Inputs,
    source: Mapping[str, str],
    *,
    big: Path | None = None,
    large_bytes: int = LARGE_BYTES,
) -> Exported:
    """Export a module that is at hand, and prove the graph against it.

    Args:
        location: for messages.
        network: in evaluation mode afterwards.
        inputs: what it is called with.
        source: see `source_of`.
        big: folder for the weights of a network that does not fit in one file.
        large_bytes: from which size of the weights on that is.

    Raises:
        ModelError: the network does not run on its inputs, or cannot be exported.
        MissingExtra: onnxscript is not installed.
    """
    check_installed()
    named = Named(network, inputs.names if inputs.by_name else None).eval()
    subject = Subject(location, named, inputs, folder_for(network, big, large_bytes))
    return exported(subject, EXPORTERS, source)


def export_program(path: Path, *, big: Path | None = None, large_bytes: int = LARGE_BYTES) -> Exported:
    """Load a program, export it and prove the graph against it.

    Its own dynamic axes are kept: the leading one is the batch; with none, the batch must be one.

    Args:
        path: written by `torch.export.save`.
        big: folder for the weights of a network that does not fit in one file.
        large_bytes: from which size of the weights on that is.

    Raises:
        ModelError: damaged, with pickled or compiled parts, or not exportable.
        MissingExtra: onnxscript is not installed.
    """
    check_installed()
    program = loaded(path)
    network = ProgramCall(program)
    best = replace(DYNAMO, graph=partial(program_graph, program))
    source = {"file": path.name, "sha256": sha256_of_file(path)}
    inputs = inputs_of_program(path, program)
    subject = Subject(str(path), network, inputs, folder_for(network, big, large_bytes))
    return exported(subject, (best, *EXPORTERS[1:]), source)


def check_installed() -> None:
    """The library onnxscript comes with the same extra as torch.

    Raises:
        MissingExtra: it is absent.
    """
    if importlib.util.find_spec("onnxscript") is None:
        raise MissingExtra("exporting from torch needs the module 'onnxscript'; run: pip install 'offramp[torch]'")
