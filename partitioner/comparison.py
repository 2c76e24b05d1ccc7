"""Tensors of a chain of pieces against those of the whole network, at every optimisation level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from split_core.backends.onnxruntime import OPTIMISATION
from split_core.manifest import Cut
from split_core.tensors import Array

LEVELS = tuple(OPTIMISATION)  # "off" first, "all" last: as deployed
DEPLOYED = LEVELS[-1]


@dataclass
class Comparison:
    """One tensor of the chain against the same tensor of the whole, over all batches so far.

    Attributes:
        equal: bit-equal everywhere.
        difference: greatest absolute difference; +inf for shapes that differ or NaN against a number.
        scale: greatest absolute value of the whole's tensor, at least 1.
        agree, rows: rows whose largest entry is at the same place, of how many.
    """

    equal: bool = True
    difference: float = 0.0
    scale: float = 1.0
    agree: int = 0
    rows: int = 0

    def add(self, whole: Array, part: Array) -> None:
        """Take in one batch."""
        self.rows += len(whole)
        if whole.shape != part.shape or whole.dtype != part.dtype:
            self.equal, self.difference = False, float("inf")
            return
        self.equal = self.equal and whole.tobytes() == part.tobytes()
        if whole.tobytes() != part.tobytes():
            gap = np.abs(whole.astype(np.float64) - part.astype(np.float64))
            self.difference = max(self.difference, float("inf") if np.isnan(gap).any() else float(gap.max()))
        self.scale = max(self.scale, float(np.abs(np.nan_to_num(whole.astype(np.float64))).max(initial=0.0)))
        flat_whole, flat_part = whole.reshape(len(whole), -1), part.reshape(len(part), -1)
        self.agree += int((flat_whole.argmax(1) == flat_part.argmax(1)).sum())

    def within(self, tolerance: float) -> bool:
        """Is the greatest difference at most `tolerance` of the scale?"""
        return self.difference <= tolerance * self.scale


@dataclass
class Level:
    """All comparisons at one optimisation level, by tensor name.

    `refused` is what onnxruntime said when it could not load the network or a piece at this level.
    """

    tensors: dict[str, Comparison] = field(default_factory=dict)
    refused: str | None = None

    def add(self, name: str, whole: Array, part: Array) -> None:
        """Take in one batch of one tensor."""
        self.tensors.setdefault(name, Comparison()).add(whole, part)


def cut_entry(levels: Mapping[str, Level], k: int, cut: Cut) -> dict[str, Any]:
    """The worst of a cut's tensors; an input of the network that is handed through needs no proof."""
    names = [tensor.name for tensor in cut.tensors]
    entries = [tensor_entry(levels, name) for name in names if name in levels["off"].tensors]
    exact = [entry["highest_exact_level"] for entry in entries]
    differences = [entry["deployed_max_difference"] for entry in entries]
    return {
        "cut": k,
        "block": cut.block,
        "tensors": names,
        "bit_equal_off": all(entry["bit_equal_off"] for entry in entries),
        "highest_exact_level": None if None in exact else min(exact, key=LEVELS.index),
        "deployed_max_difference": None if None in differences else max(differences),
    }


def tensor_entry(levels: Mapping[str, Level], name: str) -> dict[str, Any]:
    """What was found of one tensor, as JSON types."""
    deployed = levels[DEPLOYED].tensors[name]
    return {
        "tensor": name,
        "bit_equal_off": levels["off"].tensors[name].equal,
        "highest_exact_level": _highest_exact(levels, name),
        "deployed_max_difference": deployed.difference if np.isfinite(deployed.difference) else None,
        "deployed_scale": deployed.scale,
        "deployed_label_agreement": deployed.agree / deployed.rows,
    }


def _highest_exact(levels: Mapping[str, Level], name: str) -> str | None:
    """The last level up to which all are bit-equal; None when not even the first is."""
    highest = None
    for level in LEVELS:
        if levels[level].refused or not levels[level].tensors[name].equal:
            break
        highest = level
    return highest
