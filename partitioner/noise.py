"""Inputs made up where there are no samples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from split_core.tensors import Array, TensorSpec


def noise(spec: TensorSpec, sizes: Mapping[str, int], rng: np.random.Generator) -> Array:
    """Normal for floats; zeros and ones for integers, which are valid indices of anything."""
    shape, dtype = spec.sized(sizes, sizes["batch"]), np.dtype(spec.dtype)
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(0, 2, shape).astype(dtype)
