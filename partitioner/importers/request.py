"""What a user says about a network that is to be imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from partitioner.inputs import InputSpec


@dataclass(frozen=True)
class Request:
    """Each part has a default; an ONNX file often needs none.

    Attributes:
        args: keyword arguments of a factory, values as YAML.
        inputs: what a torch module takes.
        axes: two sizes that the network takes, for each dynamic axis of its inputs but the batch; what is
            not said is guessed.
        weights: folder for the weights of a torch module that is too large for one file.
    """

    args: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[InputSpec, ...] = ()
    axes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    weights: Path | None = None
