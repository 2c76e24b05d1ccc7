"""What stands between a source and a network's input, for pictures and texts alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from split_core.manifest import Manifest
from split_core.preprocess import Preprocess
from split_core.tensors import Array, TensorSpec
from split_core.text import Text, roles_of


class Intake(Protocol):
    """How what a source gives becomes the tensors of cut 0.

    Between the two stands the *canonical* item, which split 0 ships: an image of the network's size, or token ids.

    Attributes:
        codec: the usual one for canonical items.
        together: how many may run in one batch where bytes and answers shall be those of each alone.
    """

    @property
    def codec(self) -> str:
        """Name in `split_core.codecs.CODECS`."""

    @property
    def together(self) -> int:
        """At least 1."""

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """What split 0 carries on the wire."""

    @property
    def batches(self) -> bool:
        """May items be padded to run together?"""

    def canonical(self, item: Array | str) -> Array:
        """What a source gave, brought into the form that is shipped.

        Raises:
            DataError: it is of another kind, or damaged.
        """

    def tensors(self, items: Array) -> list[Array]:
        """A canonical item, or a stack of N, to the network's inputs (N, ...)."""

    def stack(self, items: Sequence[Array]) -> Array:
        """Canonical items as one array."""

    def unstack(self, items: Array) -> list[Array]:
        """The canonical items of a stack."""

    def measures(self, item: Array) -> dict[str, float]:
        """Numbers of a canonical item, by name, that drift is looked for in; the same names for all items."""

    def blank(self) -> Array:
        """A canonical item to warm up with."""


def intake_of(manifest: Manifest, tokeniser: bytes | None = None) -> Intake | None:
    """The intake of a network; None when nothing is known of its preprocessing.

    Args:
        manifest: the network's.
        tokeniser: content of the `tokenizer.json`; whoever gets token ids does without.

    Raises:
        MissingExtra: there is a tokeniser and the library that runs it is not installed.
        DataError: it is none.
    """
    said = manifest.preprocess
    if said is None or isinstance(said, Preprocess):
        return said
    specs = [tensor.spec for tensor in manifest.cuts[0].tensors]
    roles = roles_of(specs)
    return Text(said, specs, roles, tokeniser) if roles else None
