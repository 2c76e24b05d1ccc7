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
from split_core.errors import ModelError
from split_core.tensors import Array

# Largest difference between torch and onnxruntime, as a share of the largest value.
TOLERANCE = 1e-3
# Near the smallest float32; random weights in a deep network get there, and any two graphs agree on it.
VANISHED = 1e-30


Case = Mapping[str, int]
Reference = tuple[Array, ...]


class Mismatch(Exception):
    """The graph is not the module's function, or does not run; the message is one line."""


class Refused(Exception):
    """The module itself fails in a case; the message is one line."""

    def __init__(self, case: Case, error: ForeignError) -> None:
        super().__init__(str(error))
        self.case = case


def references(
    call: Callable[..., tuple[Tensor, ...]], values: Callable[[Case], tuple[Tensor, ...]], cases: Sequence[Case]
) -> list[Reference]:
    """What the module itself gives in every case.

    Raises:
        Refused: it raises.
        Mismatch: an output is not a number on random input, or is another each time, so that nothing can be compared.
    """
    found = [_called(call, values(case), case) for case in cases]
    for case, outputs in zip(cases, found, strict=True):
        if any(np.isnan(array).any() for array in outputs if array.dtype.kind == "f"):
            raise Mismatch(f"its outputs are not numbers (NaN) at {said(case)}")
        if any(0 < np.abs(array).max(initial=0) < VANISHED for array in outputs if array.dtype.kind == "f"):
            raise Mismatch("its outputs vanish on random inputs, so that nothing can be compared; give trained weights")
    for number, (first, again) in enumerate(zip(found[0], _called(call, values(cases[0]), cases[0]), strict=True), 1):
        try:
            _compare(f"output {number}", again, first)
        except Mismatch as error:
            raise Mismatch("it gives another output each time for the same input; take the randomness out") from error
    return found


def _called(call: Callable[..., tuple[Tensor, ...]], tensors: tuple[Tensor, ...], case: Case) -> Reference:
    try:
        with torch.no_grad():
            outputs = foreign(lambda: call(*tensors))
    except ForeignError as error:
        if isinstance(error.__cause__, ModelError):
            raise Mismatch(str(error.__cause__)) from error
        raise Refused(case, error) from error
    return tuple(tensor.detach().numpy().copy() for tensor in outputs)


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
        raise Mismatch(
            f"{where} differs from torch by {off:.2g} (largest value {scale:.2g}, allowed {TOLERANCE:g} of it)"
        )
