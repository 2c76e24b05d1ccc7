"""A `torch.export` program in a `.pt2`: loading, calling, and what it takes.  Unpickles nothing: see `pt2_archive`."""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from partitioner.importers.foreign import ForeignError, foreign
from partitioner.importers.pt2_archive import copy_without_pickles
from partitioner.importers.torch_inputs import ROWS, SEED, Inputs
from partitioner.importers.torch_outputs import Named
from partitioner.inputs import AXIS_SIZES, BATCH, InputSpec
from split_core.errors import ModelError


def loaded(path: Path) -> ExportedProgram:
    """The program in a file, without its sample inputs.

    Raises:
        ModelError: see `copy_without_pickles`; or torch cannot read it.
    """
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "program.pt2"
        graph = copy_without_pickles(path, copy)
        try:
            if "transformers." in graph and importlib.util.find_spec("transformers"):
                # Its output classes must be known before a program that returns one can be read.
                foreign(partial(importlib.import_module, "transformers.modeling_outputs"))
            return foreign(lambda: torch.export.load(copy))
        except ForeignError as error:
            raise ModelError(f"{path}: torch {torch.__version__} cannot load it: {error}; export it again") from error


class ProgramCall(Named):
    """A program behind flat tensors.

    Args:
        program: what is called; inputs that are not tensors keep the value that it was exported with.
    """

    def __init__(self, program: ExportedProgram) -> None:
        super().__init__(_module(program), None)
        self._leaves = program.graph_signature.user_inputs
        self._tensors = _input_names(program)
        self._spec = program.call_spec.in_spec
        for module in self.modules():
            module.training = False

    def train(self, mode: bool = True) -> ProgramCall:
        """Does nothing: a program has one mode, and torch refuses to be asked for another."""
        return self

    def raw(self, *tensors: Tensor) -> Any:
        """What the program gives."""
        given = dict(zip(self._tensors, tensors, strict=True))
        leaves = [given[leaf] if isinstance(leaf, str) and leaf in given else leaf for leaf in self._leaves]
        args, kwargs = torch.utils._pytree.tree_unflatten(leaves, self._spec)
        return self.network(*args, **kwargs)


def _module(program: ExportedProgram) -> nn.Module:
    return program.module(check_guards=False)


def _input_names(program: ExportedProgram) -> list[str]:
    inputs = {leaf for leaf in program.graph_signature.user_inputs if isinstance(leaf, str)}
    return [
        node.name
        for node in program.graph.nodes
        if node.op == "placeholder" and node.name in inputs and isinstance(node.meta.get("val"), Tensor)
    ]


def inputs_of_program(path: Path, program: ExportedProgram) -> Inputs:
    """Specs and random values from the shapes that the program was exported with."""
    values = {
        node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder" and "val" in node.meta
    }
    found = [(name, values[name]) for name in _input_names(program)]
    axes = _named_axes(path, found)
    sizes = {axes[symbol]: _sizes(program, symbol) for symbol in axes if axes[symbol] != BATCH}
    specs = tuple(
        InputSpec(name, str(value.dtype).removeprefix("torch."), tuple(axes.get(str(d), d) for d in value.shape))
        for name, value in found
    )
    _check_batch(path, specs)
    rng, largest = np.random.default_rng(SEED), {BATCH: ROWS, **{axis: high for axis, (_, high) in sizes.items()}}
    tensors = tuple(torch.from_numpy(np.asarray(spec.example(largest, rng))) for spec in specs)
    return Inputs(specs, tensors, sizes, by_name=False)


def _named_axes(path: Path, inputs: Sequence[tuple[str, Tensor]]) -> dict[str, str]:
    """Name of every symbol of a dynamic axis: leading is the batch; a single other one is `sequence`."""
    places: dict[str, tuple[str, int]] = {}
    for name, value in inputs:
        for axis, size in enumerate(value.shape):
            if isinstance(size, torch.SymInt) and not str(size).isidentifier():
                raise ModelError(
                    f"{path}: axis {axis} of input {name!r} is {size}; only plain dynamic axes can be exported"
                )
            if isinstance(size, torch.SymInt):
                places.setdefault(str(size), (name, axis))
    others = [symbol for symbol, (_, axis) in places.items() if axis]
    return {
        symbol: BATCH if not axis else "sequence" if len(others) == 1 else f"{name}_{axis}"
        for symbol, (name, axis) in places.items()
    }


def _sizes(program: ExportedProgram, symbol: str) -> tuple[int, int]:
    """Two sizes in the range that the program allows."""
    allowed = next((item for key, item in program.range_constraints.items() if str(key) == symbol), None)
    low, high = AXIS_SIZES
    if allowed is not None and (allowed.lower > low or allowed.upper < high):
        low = max(2, int(allowed.lower))
        high = low + 8 if allowed.upper > low + 8 else int(allowed.upper)
    return low, high


def _check_batch(path: Path, specs: Sequence[InputSpec]) -> None:
    if any(BATCH in spec.dims for spec in specs):
        return
    for spec in specs:
        if spec.dims and spec.dims[0] != 1:
            raise ModelError(
                f"{path}: input {spec.name!r} has the fixed batch {spec.dims[0]}; export it with a dynamic one: "
                f'dynamic_shapes={{"{spec.name}": {{0: torch.export.Dim("batch")}}}}'
            )
