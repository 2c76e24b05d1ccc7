"""`module:factory` to one checked ONNX graph: export, compare with the module, fall back, say what that costs."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from onnx import ModelProto

from partitioner.importers.exported import Exported, name_axes, observed_dims, opset_of
from partitioner.importers.foreign import ForeignError, foreign
from partitioner.importers.module import built
from partitioner.importers.torch_check import Mismatch, Reference, references, shapes_in_runs
from partitioner.importers.torch_export import EXPORTERS, LARGE_BYTES, Exporter, folder_for
from partitioner.importers.torch_inputs import Inputs, inputs_of
from partitioner.importers.torch_outputs import Named, outputs_of
from partitioner.inputs import BATCH, InputSpec
from split_core.errors import MissingExtra, ModelError

BATCHES = (2, 3, 1)
# torch.export's names for a branch that depends on a value: every fallback would fix it to one side, silently.
_DATA_DEPENDENT = ("GuardOnDataDependentSymNode", "data-dependent", "dynamic control flow")


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
    named = Named(network, prepared.names if prepared.by_name else None).eval()
    source = {"module": location, "args": " ".join(f"{key}={value}" for key, value in sorted(args.items()))}
    subject = Subject(location, named, prepared, folder_for(network, big, large_bytes))
    return exported(subject, EXPORTERS, source)


@dataclass(frozen=True)
class Subject:
    """What is being exported.

    Attributes:
        location: for messages.
        network: takes and gives flat tensors.
        inputs: what it is called with.
        folder: for external data, or None.
    """

    location: str
    network: Any
    inputs: Inputs
    folder: Path | None

    def raw(self, *tensors: torch.Tensor) -> Any:
        """What the network gives, as it gives it."""
        return self.network.raw(*tensors)


@dataclass(frozen=True)
class Proof:
    """Cases that a graph has to pass, and what the module gives there."""

    cases: list[dict[str, int]]
    outputs: tuple[str, ...]
    expected: list[Reference]


def check_installed() -> None:
    """onnxscript comes with the same extra as torch.

    Raises:
        MissingExtra: it is absent.
    """
    if importlib.util.find_spec("onnxscript") is None:
        raise MissingExtra("exporting from torch needs the module 'onnxscript'; run: pip install 'offramp[torch]'")


def exported(subject: Subject, exporters: Sequence[Exporter], source: Mapping[str, str]) -> Exported:
    """The graph of the first exporter whose result is the module's function.

    Raises:
        ModelError: none is; says why for each.
    """
    proofs, failures = _proofs(subject)
    notes, failed = list(subject.inputs.notes), list(failures)
    for exporter in exporters:
        proof = proofs.get(exporter.fixed)
        if proof is None:
            continue
        try:
            model = _attempt(subject, exporter, proof)
        except (ForeignError, Mismatch) as error:
            _refuse_data_dependent(subject.location, error)
            failed.append(f"{exporter.name}: {error}")
            continue
        if failed:
            notes.append(f"{'; '.join(failed)} - exported with {exporter.name} instead: {exporter.cost}")
        return _result(subject, exporter, model, tuple(notes), source)
    raise ModelError(f"{subject.location}: cannot be exported: {'; '.join(dict.fromkeys(failed))}")


def _attempt(subject: Subject, exporter: Exporter, proof: Proof) -> ModelProto:
    dims = exporter.dims(subject.inputs)
    model = foreign(
        lambda: exporter.graph(subject.network, subject.inputs, dims, proof.outputs, subject.folder)
    )
    names = subject.inputs.names
    shapes = shapes_in_runs(
        model,
        subject.folder,
        lambda case: dict(zip(names, subject.inputs.at(case), strict=True)),
        proof.cases,
        proof.expected,
    )
    taken = dict(zip(names, dims, strict=True))
    given = [observed_dims(proof.cases, seen) for seen in shapes]
    name_axes(model, [taken[item.name] for item in model.graph.input], given)
    return model


def _proofs(subject: Subject) -> tuple[dict[bool, Proof], list[str]]:
    """For a dynamic batch (False) and a fixed one (True): what must hold; and why a dynamic one cannot.

    Raises:
        ModelError: the module does not run on its inputs at all, or not at an axis' second size.
    """
    inputs, proofs, failures = subject.inputs, {}, list[str]()
    for fixed in (False, True):
        batches = (1,) if fixed else BATCHES
        try:
            proofs[fixed] = _proof(subject, inputs.cases(batches))
        except (ForeignError, Mismatch) as error:
            failures.append(f"the module itself fails at more than one row ({error})")
            if fixed or not inputs.batched:
                raise ModelError(_refused(subject, error)) from error
    return proofs, failures


def _proof(subject: Subject, cases: list[dict[str, int]]) -> Proof:
    with torch.no_grad():
        raw = foreign(lambda: subject.raw(*subject.inputs.at(cases[0])))
    outputs = outputs_of(raw)
    expected = references(lambda *tensors: tuple(outputs_of(subject.raw(*tensors)).values()), subject.inputs.at, cases)
    return Proof(cases, tuple(outputs), expected)


def _refused(subject: Subject, error: Exception) -> str:
    case = {BATCH: 1, **{axis: low for axis, (low, _) in subject.inputs.axes.items()}}
    tensors = zip(subject.inputs.names, subject.inputs.at(case), strict=True)
    shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors)
    return f"{subject.location}: forward does not take {shapes}: {error}; say its inputs with --input"


def _refuse_data_dependent(location: str, error: ForeignError | Mismatch) -> None:
    kind = getattr(error, "kind", "")
    if any(mark in f"{kind} {error}" for mark in _DATA_DEPENDENT):
        place = getattr(error, "place", "") or "its forward"
        raise ModelError(
            f"{location}: what it computes depends on values ({place}), so no one graph is its function; "
            "replace the branch by torch.where or torch.cond"
        ) from error


def _result(
    subject: Subject, exporter: Exporter, model: ModelProto, notes: tuple[str, ...], source: Mapping[str, str]
) -> Exported:
    case = subject.inputs.cases((1,) if exporter.fixed else BATCHES)[0]
    values = dict(zip(subject.inputs.names, subject.inputs.at({BATCH: 1, **case}), strict=True))
    told = {**source, "exporter": exporter.name, "torch": torch.__version__, "opset": str(opset_of(model))}
    examples = {item.name: values[item.name].numpy() for item in model.graph.input}
    return Exported(model, exporter.name, notes, told, examples, subject.inputs.axes)


Values = Callable[[Mapping[str, int]], tuple[torch.Tensor, ...]]
