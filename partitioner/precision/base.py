"""What a precision must do, and what goes wrong when one is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from onnx import ModelProto

from split_core.tensors import Array

Feed = Mapping[str, Array]  # one batch: the inputs of a piece, by name


class Untouched(Exception):
    """This piece stays as exported; the message is the reason, for people."""


class Conversion(Protocol):
    """Makes one precision of a piece.

    Attributes:
        backend: name of the backend that it is made for.
        needs_samples: does it look at what real inputs make of the piece?
        heads: are exit heads converted, too?
    """

    backend: str
    needs_samples: bool
    heads: bool

    def convert(self, model: ModelProto, feeds: Sequence[Feed]) -> ModelProto:
        """The piece in this precision, with the same inputs and outputs in float32.

        Args:
            model: a piece as exported; it is not changed.
            feeds: what the pieces before it make of samples; empty unless `needs_samples`.

        Raises:
            Untouched: there is nothing to convert, or the library refuses.
        """
