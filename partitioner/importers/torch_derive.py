"""Inputs of a `transformers` model, from its config: pixels, or token ids and their mask.  Imports no transformers."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from partitioner.inputs import AXIS_SIZES, BATCH, InputSpec
from split_core.errors import ModelError

ROWS = 3
SEED = 0
DEFAULT_SIDE = 224

Derived = tuple[tuple[InputSpec, ...], tuple[Tensor, ...], dict[str, tuple[int, int]], tuple[str, ...]]


def derived(location: str, network: nn.Module) -> Derived:
    """Specs, values at the largest sizes, dynamic axes and notes.

    Raises:
        ModelError: not a model whose config tells.
    """
    config, main = getattr(network, "config", None), getattr(network, "main_input_name", None)
    if config is not None and main == "pixel_values":
        return _pixels(config)
    if config is not None and main == "input_ids" and getattr(config, "vocab_size", None):
        return _tokens(network, config)
    raise ModelError(
        f"{location}: what it takes is not known; say it with --input {_first_parameter(network)}=batch,3,224,224, "
        "or let the factory return (module, example_inputs)"
    )


def vocabulary(network: nn.Module) -> tuple[int, int]:
    """Smallest and one past the largest token id to draw: past the special ones where the vocabulary has room."""
    size = getattr(getattr(network, "config", None), "vocab_size", None)
    if not isinstance(size, int):
        return 0, 2
    return (4, size - 1) if size > 8 else (0, size)


def _pixels(config: Any) -> Derived:
    side, channels, notes = getattr(config, "image_size", None), getattr(config, "num_channels", 3), list[str]()
    if side is None:
        side = DEFAULT_SIDE
        notes.append(f"no image size in its config: taken as {side}x{side}; or say --input pixel_values=batch,3,H,W")
    height, width = (side, side) if isinstance(side, int) else _height_width(side)
    spec = InputSpec("pixel_values", "float32", (BATCH, channels, height, width))
    value = spec.example({BATCH: ROWS}, np.random.default_rng(SEED))
    return (spec,), (torch.from_numpy(value),), {}, tuple(notes)


def _height_width(side: Any) -> tuple[int, int]:
    if isinstance(side, dict):
        return side["height"], side["width"]
    height, width = side
    return height, width


def _tokens(network: nn.Module, config: Any) -> Derived:
    """Token ids and their mask over a dynamic `sequence`; an encoder-decoder's second ids over `decoder_sequence`."""
    takes = inspect.signature(network.forward).parameters
    sizes = _sizes(config)
    axes = {"sequence": sizes}
    names = ["input_ids"] + ["attention_mask"] * ("attention_mask" in takes)
    if getattr(config, "is_encoder_decoder", False) and "decoder_input_ids" in takes:
        names.append("decoder_input_ids")
        axes["decoder_sequence"] = sizes
    rng, shape = np.random.default_rng(SEED), (ROWS, sizes[1])
    values = [_mask(shape) if name == "attention_mask" else rng.integers(*vocabulary(network), shape) for name in names]
    specs = tuple(
        InputSpec(name, "int64", (BATCH, "decoder_sequence" if name.startswith("decoder") else "sequence"))
        for name in names
    )
    return specs, tuple(torch.from_numpy(value) for value in values), axes, ()


def _sizes(config: Any) -> tuple[int, int]:
    """Two lengths that fit the positions that it has."""
    longest = next(
        (size for name in ("max_position_embeddings", "n_positions") if (size := getattr(config, name, None))), None
    )
    if not isinstance(longest, int) or longest >= AXIS_SIZES[1] + 2:
        return AXIS_SIZES
    return max(2, longest // 3), max(3, longest // 2)


def _mask(shape: tuple[int, int]) -> np.ndarray[Any, Any]:
    """Ones; every row but the first hides one token inside, so that a mask that is ignored shows."""
    mask = np.ones(shape, np.int64)
    for row in range(1, shape[0]):
        mask[row, min(row + 1, shape[1] - 1)] = 0
    return mask


def _first_parameter(network: nn.Module) -> str:
    return next(iter(inspect.signature(network.forward).parameters), "input")
