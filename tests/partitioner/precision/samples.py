"""Inputs for networks that have no data set: noise for floats, words for integers, masks that hide nothing."""

from __future__ import annotations

import numpy as np

from partitioner.examples import Examples, rows_of
from split_core.manifest import Manifest
from split_core.tensors import Array, TensorSpec

WORDS = 40  # every tiny vocabulary has as many
# Why a piece may stay as exported.
NOTHING_TO_DO = {
    "it has no outputs of its own",
    "it has no convolution and no matrix product",
    "it has no weights in float32",
}


def samples_for(manifest: Manifest, count: int, seed: int = 0) -> Examples:
    """`count` unlabelled samples at the first size of every axis."""
    rng, axes = np.random.default_rng(seed), manifest.axes_at()
    items = [_item(tensor.spec, count, axes, rng) for tensor in manifest.cuts[0].tensors]
    return Examples(tuple(items), None, None, rows_of(manifest))


def _item(spec: TensorSpec, count: int, axes: dict[str, int], rng: np.random.Generator) -> Array:
    shape = (count, *spec.sized(axes)[1:])
    if spec.dtype.startswith("float"):
        return rng.standard_normal(shape).astype(spec.dtype)
    return (np.ones(shape) if "mask" in spec.name else rng.integers(1, WORDS, shape)).astype(spec.dtype)
