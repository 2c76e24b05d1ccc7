"""The values that a torch module is exported with: from `--input`, from the factory's examples, or from its config."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from partitioner.importers.torch_derive import derived, vocabulary
from partitioner.inputs import BATCH, InputSpec, axes_of
from split_core.errors import ConfigError, ModelError
from split_core.registry import suggestion
from split_core.tensors import DTYPES, Array

ROW = "row"  # key of a case: the first row to take
ROWS = 3  # of the values kept: the proof runs batches of 1, 2 and 3
SEED = 0


@dataclass(frozen=True)
class Inputs:
    """Inputs of a network, with values at the largest size of every dynamic axis.

    Attributes:
        specs: name, dtype and dimensions of each.
        values: one tensor per input.
        axes: dynamic axes other than the batch, with two sizes.
        by_name: whether `forward` takes them as keywords; else in this order.
        notes: what was assumed, one line each.
    """

    specs: tuple[InputSpec, ...]
    values: tuple[Tensor, ...]
    axes: dict[str, tuple[int, int]]
    by_name: bool
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the inputs, in order."""
        return tuple(spec.name for spec in self.specs)

    @property
    def batched(self) -> bool:
        """Whether any input has a dynamic batch."""
        return any(BATCH in spec.dims for spec in self.specs)

    def at(self, sizes: Mapping[str, int]) -> tuple[Tensor, ...]:
        """The values cut to the given sizes of the dynamic axes; from row `sizes["row"]` on, where it is said."""
        return tuple(_narrowed(value, spec.dims, sizes) for value, spec in zip(self.values, self.specs, strict=True))

    def cases(self, batches: Sequence[int]) -> list[dict[str, int]]:
        """Sizes to prove the network at: every batch at the small sizes, then each axis alone at its large one.

        With no batch but one, every row by itself takes the place of the batches.  A batch of one is the last row
        otherwise, so that a value that a trace took from the first shows.
        """
        small = {axis: low for axis, (low, _) in self.axes.items()}
        cases = [{BATCH: batch, **small} for batch in (batches if self.batched else batches[:1])]
        if self.batched and max(batches) == 1:
            cases = [{BATCH: 1, **small, ROW: row} for row in range(ROWS)]
        elif self.batched:
            cases = [{**case, ROW: ROWS - 1} if case[BATCH] == 1 else case for case in cases]
        return cases + [{**cases[-1], axis: high} for axis, (_, high) in self.axes.items()]


def inputs_of(location: str, network: nn.Module, given: Sequence[InputSpec], examples: Any) -> Inputs:
    """What to call `network` with.

    Args:
        location: of the network, for messages.
        network: the module.
        given: from `--input`; they win over everything else.
        examples: from the factory: a tensor, a tuple of them or a dict; or None.

    Raises:
        ConfigError: names or shapes that do not fit `forward` or the examples.
        ModelError: nothing is known of the inputs.
    """
    found = _named_examples(location, network, examples)
    if given:
        by_name = _by_name(location, network, [spec.name for spec in given])
        return _with_values(location, network, tuple(given), found, by_name)
    if found:
        specs = _specs_of(found)
        by_name = _by_name(location, network, [spec.name for spec in specs])
        return _with_values(location, network, specs, found, by_name)
    specs, values, axes, notes = derived(location, network)
    return Inputs(specs, values, axes, True, notes)


def parameters_of(network: nn.Module) -> tuple[list[str], bool]:
    """Names of what `forward` takes, and whether it takes any other keyword too."""
    items = inspect.signature(network.forward).parameters.values()
    names = [
        item.name
        for item in items
        if item.kind in (item.POSITIONAL_ONLY, item.POSITIONAL_OR_KEYWORD, item.KEYWORD_ONLY)
    ]
    return names, any(item.kind is item.VAR_KEYWORD for item in items)


def _by_name(location: str, network: nn.Module, names: Sequence[str]) -> bool:
    """Whether to pass keywords: all names are `forward`'s, or none is and none looks like a slip of the pen."""
    takes, open_ended = parameters_of(network)
    strange = [name for name in names if name not in takes]
    if not strange:
        return True
    near = next((hint for name in strange if (hint := suggestion(name, takes))), "")
    if near or len(strange) < len(names):
        if open_ended and not near:
            return True
        raise ConfigError(
            f"--input {strange[0]}: forward of {location} has no such parameter{near}; it has: {', '.join(takes)}"
        )
    return False


def _named_examples(location: str, network: nn.Module, examples: Any) -> dict[str, Tensor]:
    if examples is None:
        return {}
    if isinstance(examples, Mapping):
        return {str(name): _tensor(location, str(name), value) for name, value in examples.items() if value is not None}
    values = list(examples) if isinstance(examples, (tuple, list)) else [examples]
    takes, _ = parameters_of(network)
    names = [takes[k] if k < len(takes) else f"input_{k + 1}" for k in range(len(values))]
    return {name: _tensor(location, name, value) for name, value in zip(names, values, strict=True)}


def _tensor(location: str, name: str, value: Any) -> Tensor:
    value = torch.from_numpy(np.array(value)) if isinstance(value, np.ndarray) else value
    if not isinstance(value, Tensor):
        raise ModelError(
            f"{location}: example {name!r} is a {type(value).__name__}; expected a tensor or a numpy array"
        )
    tensor: Tensor = value.detach().to("cpu")
    tensor = tensor.float() if tensor.is_floating_point() else tensor
    if str(tensor.dtype).removeprefix("torch.") not in DTYPES or 0 in tensor.shape:
        raise ModelError(f"{location}: example {name!r}: {tensor.dtype} {tuple(tensor.shape)} cannot be an input")
    return tensor


def _specs_of(examples: Mapping[str, Tensor]) -> tuple[InputSpec, ...]:
    """The leading axis is the batch wherever it is as long as the first example's."""
    rows = next((len(value) for value in examples.values() if value.ndim), 0)
    return tuple(
        InputSpec(
            name,
            str(value.dtype).removeprefix("torch."),
            (BATCH, *value.shape[1:]) if value.ndim and len(value) == rows else tuple(value.shape),
        )
        for name, value in examples.items()
    )


def _with_values(
    location: str, network: nn.Module, specs: tuple[InputSpec, ...], examples: Mapping[str, Tensor], by_name: bool
) -> Inputs:
    axes, rng = axes_of(specs), np.random.default_rng(SEED)
    largest = {BATCH: ROWS, **{axis: high for axis, (_, high) in axes.items()}}
    values = []
    for spec in specs:
        shape = spec.shape(largest)
        if spec.name in examples:
            _check_example(location, spec, examples[spec.name])
            example = examples[spec.name]
            # Nothing is proven on zeros, which is what people give who only want to say a shape.
            told = not example.is_floating_point() or bool((example != example.flatten()[0]).any())
            values.append(_stretched(example, shape) if told else torch.from_numpy(spec.example(largest, rng)))
        else:
            values.append(torch.from_numpy(_random(network, spec, largest, rng)))
    return Inputs(specs, tuple(values), axes, by_name)


def _check_example(location: str, spec: InputSpec, example: Tensor) -> None:
    dtype, shape = str(example.dtype).removeprefix("torch."), tuple(example.shape)
    fits = len(shape) == len(spec.dims) and all(
        isinstance(dim, str) or dim == size for dim, size in zip(spec.dims, shape, strict=True)
    )
    if not fits or dtype != spec.dtype:
        said = ",".join(map(str, spec.dims))
        raise ConfigError(f"--input {spec.name}={spec.dtype}:{said}: the example of {location} is {dtype} {shape}")


def _random(network: nn.Module, spec: InputSpec, sizes: Mapping[str, int], rng: np.random.Generator) -> Array:
    if spec.name.endswith("input_ids") and spec.dtype in ("int64", "int32"):
        return rng.integers(*vocabulary(network), spec.shape(sizes)).astype(spec.dtype)
    return spec.example(sizes, rng)


def _stretched(example: Tensor, shape: Sequence[int]) -> Tensor:
    """The example repeated to a larger shape; rows that repeat are scaled or rolled, so that they differ."""
    rows = len(example) if example.ndim else 1
    for axis, size in enumerate(shape):
        example = example.index_select(axis, torch.arange(size) % example.shape[axis])
    if not example.ndim or len(example) <= rows:
        return example.clone()
    changed = [example[k] if k < rows else _varied(example[k], k // rows) for k in range(len(example))]
    return torch.stack(changed)


def _varied(row: Tensor, times: int) -> Tensor:
    if row.is_floating_point():
        return row * (1 - 0.1 * times)
    return row.roll(times, 0) if row.ndim else row


def _narrowed(value: Tensor, dims: Sequence[int | str], sizes: Mapping[str, int]) -> Tensor:
    for axis, dim in enumerate(dims):
        if isinstance(dim, str):
            value = value.narrow(axis, sizes.get(ROW, 0) if dim == BATCH else 0, sizes[dim])
    return value.clone(memory_format=torch.contiguous_format)
