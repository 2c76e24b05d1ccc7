"""From the best exporter down: the first graph that is the module's function, and what it costs to have fallen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from onnx import ModelProto

from partitioner.importers.exported import Exported, name_axes, observed_dims, opset_of
from partitioner.importers.foreign import ForeignError, foreign
from partitioner.importers.torch_check import Mismatch, Reference, Refused, references, said, shapes_in_runs
from partitioner.importers.torch_export import NO_BATCHES, Exporter
from partitioner.importers.torch_inputs import Inputs
from partitioner.importers.torch_outputs import Named, outputs_of
from split_core.errors import ModelError

BATCHES = (2, 1, 3)  # exported at the first, and a dynamic axis is stretched with the last
# torch.export's names for a branch that depends on a value: every fallback would fix it to one side, silently.
_DATA_DEPENDENT = ("GuardOnDataDependentSymNode", "data-dependent", "dynamic control flow")


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
    network: Named
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


def exported(subject: Subject, exporters: Sequence[Exporter], source: Mapping[str, str]) -> Exported:
    """The graph of the first exporter whose result is the module's function.

    Raises:
        ModelError: none is; says why for each.
    """
    proofs, failed = _proofs(subject)
    notes = list(subject.inputs.notes)
    if not subject.inputs.batched:
        notes.append(f"no input has a dynamic batch: {NO_BATCHES}")
    for exporter in exporters:
        proof = proofs.get(exporter.fixed)
        if proof is None:
            continue
        if not subject.inputs.batched:
            exporter = exporter.with_fixed_batch()
        before = _files(subject.folder)
        try:
            model = _attempt(subject, exporter, proof)
        except (ForeignError, Mismatch) as error:
            for left in _files(subject.folder) - before:
                left.unlink()
            _refuse_data_dependent(subject.location, error)
            failed.setdefault(str(error), f"{exporter.name}: {error}")
            continue
        if failed:
            notes.append(f"{'; '.join(failed.values())} - exported with {exporter.name} instead: {exporter.cost}")
        return _result(subject, exporter, model, tuple(notes), source)
    raise ModelError(f"{subject.location}: cannot be exported: {'; '.join(failed.values())}{_axes_hint(subject)}")


def _attempt(subject: Subject, exporter: Exporter, proof: Proof) -> ModelProto:
    dims = exporter.dims(subject.inputs)
    model = foreign(lambda: exporter.graph(subject.network, subject.inputs, dims, proof.outputs, subject.folder))
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


def _files(folder: Path | None) -> set[Path]:
    return set() if folder is None else {entry for entry in folder.iterdir() if entry.is_file()}


def _axes_hint(subject: Subject) -> str:
    if not subject.inputs.axes:
        return ""
    return f"; if {' or '.join(subject.inputs.axes)} is in the way, give a fixed size for it with --input"


def _proofs(subject: Subject) -> tuple[dict[bool, Proof], dict[str, str]]:
    """For a dynamic batch (False) and a fixed one (True): what must hold; and why a dynamic one cannot.

    Raises:
        ModelError: the module does not run on its inputs at all, or not at an axis' second size.
    """
    inputs, proofs, failed = subject.inputs, dict[bool, Proof](), dict[str, str]()
    for fixed in (False, True) if inputs.batched else (False,):
        try:
            proofs[fixed] = _proof(subject, inputs.cases((1,) if fixed or not inputs.batched else BATCHES))
        except Mismatch as error:
            raise ModelError(f"{subject.location}: {error}") from error
        except Refused as error:
            if fixed or not inputs.batched:
                raise ModelError(_refused(subject, error)) from error
            failed[str(error)] = f"the network itself fails at {said(error.case)} ({error})"
    return proofs, failed


def _proof(subject: Subject, cases: list[dict[str, int]]) -> Proof:
    seen: list[tuple[str, ...]] = []

    def call(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        outputs = outputs_of(subject.raw(*tensors))
        seen.append(tuple(outputs))
        return tuple(outputs.values())

    expected = references(call, subject.inputs.at, cases)
    return Proof(cases, seen[0], expected)


def _refused(subject: Subject, error: Refused) -> str:
    tensors = zip(subject.inputs.names, subject.inputs.at(error.case), strict=True)
    shapes = ", ".join(f"{name} {str(tensor.dtype)[6:]} {tuple(tensor.shape)}" for name, tensor in tensors)
    return (
        f"{subject.location}: forward fails on {shapes}: {error}; say what it takes with --input NAME=DTYPE:DIM,DIM,..."
    )


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
    values = dict(zip(subject.inputs.names, subject.inputs.at(case), strict=True))
    told = {**source, "exporter": exporter.name, "torch": torch.__version__, "opset": str(opset_of(model))}
    examples = {item.name: values[item.name].numpy() for item in model.graph.input}
    return Exported(model, exporter.name, notes, told, examples, subject.inputs.axes)
