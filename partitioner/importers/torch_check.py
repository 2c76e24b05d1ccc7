"""Is the exported graph the same function as the module?  Runs both at several sizes of every dynamic axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from google.protobuf.message import EncodeError
from onnx import ModelProto
from torch import Tensor

from partitioner.importers.foreign import ForeignError, foreign, one_line
from split_core.backends.onnxruntime import OPTIMISATION, RUN_ERRORS
from split_core.tensors import Array

# Largest difference between torch and onnxruntime, as a share of the largest value.
TOLERANCE = 1e-3


class Mismatch(Exception):
    """The graph is not the module's function, or does not run; the message is one line."""


Case = Mapping[str, int]
Reference = tuple[Array, ...]


def references(
    call: Callable[..., tuple[Tensor, ...]], values: Callable[[Case], tuple[Tensor, ...]], cases: Sequence[Case]
) -> list[Reference]:
    """What the module itself gives in every case.

    Raises:
        ForeignError: it raises.
        Mismatch: an output is not a number on random input, so that nothing can be compared.
    """
    found = []
    for case in cases:
        with torch.no_grad():
            outputs = foreign(lambda case=case: call(*values(case)))  # type: ignore[misc]
        found.append(tuple(tensor.detach().numpy().copy() for tensor in outputs))
        if any(np.isnan(array).any() for array in found[-1] if array.dtype.kind == "f"):
            raise Mismatch(f"its outputs are not numbers (NaN) at {said(case)}")
    return found


def shapes_in_runs(
    model: ModelProto,
    folder: Path | None,
    values: Callable[[Case], Mapping[str, Tensor]],
    cases: Sequence[Case],
    expected: Sequence[Reference],
) -> list[list[tuple[int, ...]]]:
    """Run the graph in onnxruntime in every case and compare; shapes of its outputs, one list per output.

    Raises:
        Mismatch: it is not valid, does not run in a case, or gives something else there.
    """
    session = _session(model, folder)
    known = {item.name for item in session.get_inputs()}
    names = [item.name for item in session.get_outputs()]
    shapes: list[list[tuple[int, ...]]] = [[] for _ in names]
    for case, reference in zip(cases, expected, strict=True):
        feeds = {name: tensor.numpy() for name, tensor in values(case).items() if name in known}
        try:
            outputs = session.run(names, feeds)
        except RUN_ERRORS as error:
            raise Mismatch(f"its graph does not run at {said(case)} ({one_line(error)})") from error
        for name, got, wanted, seen in zip(names, outputs, reference, shapes, strict=True):
            _compare(f"output {name!r} at {said(case)}", got, wanted)
            seen.append(got.shape)
    return shapes


def said(case: Case) -> str:
    """`batch 2, sequence 16`."""
    return ", ".join(f"{axis} {size}" for axis, size in case.items())


def _session(model: ModelProto, folder: Path | None) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = OPTIMISATION["off"]  # the export is on trial here, not onnxruntime's fusions
    options.log_severity_level = 4
    try:
        if folder is None:
            onnx.checker.check_model(model, full_check=True)
            served: bytes | str = model.SerializeToString()
        else:
            served = str(folder / "checked.onnx")
            Path(served).write_bytes(model.SerializeToString())
            onnx.checker.check_model(served)
        return onnxruntime.InferenceSession(served, options, ["CPUExecutionProvider"])
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, EncodeError, *RUN_ERRORS) as error:
        raise Mismatch(f"its graph is not valid ({one_line(error)})") from error
    finally:
        if folder is not None:
            (folder / "checked.onnx").unlink(missing_ok=True)


def _compare(where: str, got: Array, wanted: Array) -> None:
    if got.shape != wanted.shape:
        raise Mismatch(f"{where} has shape {got.shape}, torch gives {wanted.shape}")
    if not got.size:
        return
    finite = np.isfinite(wanted)
    if not np.array_equal(finite, np.isfinite(got)):
        raise Mismatch(f"{where} is infinite or NaN where torch is not")
    there, here = wanted[finite].astype(np.float64), got[finite].astype(np.float64)
    scale = float(np.abs(there).max(initial=0.0)) or 1.0
    off = float(np.abs(here - there).max(initial=0.0))
    if off > TOLERANCE * scale:
        raise Mismatch(f"{where} differs from torch by {off:.2g} (largest value {scale:.2g}, allowed {TOLERANCE:g} of it)")


__all__ = ["TOLERANCE", "ForeignError", "Mismatch", "references", "said", "shapes_in_runs"]
