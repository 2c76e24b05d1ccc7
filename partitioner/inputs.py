"""What a network takes, as a person writes it: `--input pixel_values=batch,3,224,224`.  No torch here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from split_core.errors import ConfigError
from split_core.registry import suggestion
from split_core.tensors import DTYPES, Array

BATCH = "batch"
# Two sizes that a dynamic axis is exported and proven at, when none are given.
AXIS_SIZES = (16, 24)

_INPUT = re.compile(r"^(?P<name>[^=\s]+)=(?:(?P<dtype>[A-Za-z]\w*):)?(?P<dims>.*)$")
_AXIS = re.compile(r"^(?P<name>[A-Za-z]\w*)(?:\((?P<sizes>[^()]*)\))?$")
_SIZES = re.compile(r"^(\d+):(\d+)$")
_EXAMPLE = "pixel_values=batch,3,224,224 or input_ids=int64:batch,sequence(16:24)"


@dataclass(frozen=True, slots=True)
class InputSpec:
    """Name, dtype and dimensions of one input.

    Attributes:
        name: of the input; also the name of `forward`'s parameter, where it has one of that name.
        dtype: numpy's name.
        dims: sizes; a `str` names a dynamic axis, `"batch"` only the leading one.
        sizes: for each dynamic axis but the batch, two sizes that the network takes.
    """

    name: str
    dtype: str
    dims: tuple[int | str, ...]
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The shape when every dynamic axis, the batch included, has the size in `sizes`."""
        return tuple(sizes[dim] if isinstance(dim, str) else dim for dim in self.dims)

    def example(self, sizes: Mapping[str, int], rng: np.random.Generator) -> Array:
        """A random value: normal for floats, zeros and ones for whole numbers and truth values."""
        shape, dtype = self.shape(sizes), np.dtype(self.dtype)
        if dtype.kind == "f":
            return np.asarray(rng.standard_normal(shape), dtype)
        return np.asarray(rng.integers(0, 2, shape), dtype)


def input_spec(text: str) -> InputSpec:
    """One `--input`: `NAME=[DTYPE:]DIM,DIM,...`; a DIM is a size, `batch`, or a dynamic axis like `sequence(16:24)`.

    Raises:
        ConfigError: anything else; the message shows what one looks like.
    """
    match = _INPUT.match(text.strip())
    if match is None:
        raise ConfigError(f"--input {text!r}: expected NAME=[DTYPE:]DIM,DIM,..., for example {_EXAMPLE}")
    name, dtype = match["name"], match["dtype"] or "float32"
    if dtype not in DTYPES:
        near = suggestion(dtype, list(DTYPES))
        raise ConfigError(f"--input {name}: no dtype {dtype!r}{near}; there are: {', '.join(DTYPES)}")
    sizes: dict[str, tuple[int, int]] = {}
    dims = tuple(_dim(name, axis, part.strip(), sizes) for axis, part in enumerate(match["dims"].split(",")))
    if len(dims) - len({dim for dim in dims if isinstance(dim, str)}) != sum(isinstance(dim, int) for dim in dims):
        raise ConfigError(f"--input {name}: two axes of one input have the same name; give each its own")
    return InputSpec(name, dtype, dims, sizes)


def input_specs(texts: Iterable[str]) -> tuple[InputSpec, ...]:
    """All `--input`s of a command, in the order of the network's inputs.

    Raises:
        ConfigError: one is malformed, a name comes twice, or two disagree about an axis.
    """
    specs = tuple(input_spec(text) for text in texts)
    names = [spec.name for spec in specs]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ConfigError(f"--input {twice[0]}: given twice; one for each input of the network")
    axes_of(specs)
    return specs


def axes_of(specs: Sequence[InputSpec]) -> dict[str, tuple[int, int]]:
    """Dynamic axes other than the batch, with two sizes each; an axis of two inputs has its sizes said once.

    Raises:
        ConfigError: two inputs give an axis different sizes.
    """
    axes: dict[str, tuple[int, int]] = {}
    for spec in specs:
        for axis, sizes in spec.sizes.items():
            if axes.setdefault(axis, sizes) != sizes:
                first, second = ("{}:{}".format(*pair) for pair in (axes[axis], sizes))
                raise ConfigError(f"--input {spec.name}: axis {axis!r} has sizes {second}, elsewhere {first}")
    named = [dim for spec in specs for dim in spec.dims if isinstance(dim, str) and dim != BATCH]
    return {axis: axes.get(axis, AXIS_SIZES) for axis in dict.fromkeys(named)}


def arguments(texts: Iterable[str]) -> dict[str, str]:
    """All `--arg key=value`s of a command.

    Raises:
        ConfigError: one has no `=` or no name, or a name comes twice.
    """
    args: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.isidentifier():
            raise ConfigError(f"--arg {text!r}: expected KEY=VALUE, for example num_labels=10")
        if key in args:
            raise ConfigError(f"--arg {key}: given twice")
        args[key] = value
    return args


def _dim(name: str, axis: int, text: str, sizes: dict[str, tuple[int, int]]) -> int | str:
    """One DIM; sizes given with an axis are noted in `sizes`."""
    if text.isdecimal() and int(text) > 0:
        return int(text)
    match = _AXIS.match(text)
    if match is None:
        raise ConfigError(
            f"--input {name}: axis {axis} is {text!r}; expected a size, 'batch', or a name like sequence(16:24)"
        )
    label = match["name"]
    if label == BATCH and (axis or match["sizes"] is not None):
        raise ConfigError(f"--input {name}: 'batch' is the leading axis and takes no sizes, for example {_EXAMPLE}")
    if match["sizes"] is not None:
        sizes[label] = _sizes(name, label, match["sizes"])
    return label


def _sizes(name: str, label: str, text: str) -> tuple[int, int]:
    match = _SIZES.match(text)
    low, high = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 < low < high:
        raise ConfigError(
            f"--input {name}: {label}({text}): expected two different sizes above 1, small:large, like 16:24"
        )
    return low, high


def axis_sizes(texts: Iterable[str]) -> dict[str, tuple[int, int]]:
    """All `--axis name=16:24` of a command.

    Raises:
        ConfigError: one is not of this form, or its two sizes are the same.
    """
    axes: dict[str, tuple[int, int]] = {}
    for text in texts:
        name, _, sizes = text.partition("=")
        match = _SIZES.match(sizes)
        if match is None or match[1] == match[2] or 0 in (int(match[1]), int(match[2])):
            raise ConfigError(
                f"--axis {text!r}: expected NAME=SIZE:SIZE with two different sizes, such as sequence=16:24"
            )
        axes[name] = (int(match[1]), int(match[2]))
    return axes
