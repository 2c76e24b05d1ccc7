"""A bundle's pieces as sessions in a row, on batches.  For build time; the edge has its own prefix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from split_core.backends.base import Backend
from split_core.bundle import Bundle
from split_core.criteria.base import pooled_rows
from split_core.tensors import Array, FloatArray
from split_core.text import roles_of


@dataclass(frozen=True, slots=True)
class Passage:
    """What one batch left behind on its way through the whole chain.

    Attributes:
        cuts: tensors of the cuts 0..K-1, in the manifest's order.
        logits: (N, C) per exit 1..K; empty for a network without exits.
        outputs: what the last segment makes; the logits of exit K where there are exits.
    """

    cuts: list[list[Array]]
    logits: list[Array]
    outputs: list[Array]


class Chain:
    """Segments and heads, loaded.

    Args:
        bundle: whose pieces they are; it may be one that is not certified yet.
        backend: who runs them.
        threads: intra-op threads of each session.
        precision: of the bundle's; empty for the pieces as exported.

    Raises:
        ConfigError: the bundle does not have this precision.
        BackendError: the engine cannot load a piece.
    """

    def __init__(self, bundle: Bundle, backend: Backend, *, threads: int, precision: str = "") -> None:
        manifest, pieces = bundle.manifest, bundle.manifest.variant(precision)
        self._segments = [bundle.session(piece, backend, threads=threads) for piece in pieces.segments]
        self._heads = [bundle.session(piece, backend, threads=threads) for piece in pieces.heads]
        roles = roles_of([tensor.spec for tensor in manifest.cuts[0].tensors])
        self._ids = roles.index("ids") if roles else None
        self._classifies = manifest.labels is not None
        names = [tuple(tensor.name for tensor in cut.tensors) for cut in manifest.cuts]
        self._taken = [[names[k].index(name) for name in piece.inputs] for k, piece in enumerate(manifest.heads, 1)]

    @property
    def exits(self) -> int:
        """K."""
        return len(self._segments)

    def run(self, inputs: Sequence[Array]) -> Passage:
        """All segments and all heads on one batch; `inputs` are the tensors of cut 0."""
        cuts = [list(inputs)]
        for segment in self._segments[:-1]:
            cuts.append(segment.run(cuts[-1]))
        outputs = self._segments[-1].run(cuts[-1])
        logits = [
            head.run([cuts[k][place] for place in taken])[0]
            for k, (head, taken) in enumerate(zip(self._heads, self._taken, strict=True), 1)
        ]
        return Passage(cuts, [*logits, outputs[0]] if self._classifies else logits, outputs)

    def hidden(self, passage: Passage) -> tuple[FloatArray, ...]:
        """For exits 1..K-1 what each reads, pooled over positions: (N, D_k), as a device pools it."""
        return tuple(pooled_rows(passage.cuts[k][taken[0]]) for k, taken in enumerate(self._taken, 1))

    def tokens(self, passage: Passage) -> Array | None:
        """(N, T) ids of the samples' tokens; None for a network that takes no text."""
        return None if self._ids is None else passage.cuts[0][self._ids]

    def finish(self, cut: int, tensors: Sequence[Array]) -> Array:
        """Final logits (N, C) from the tensors of `cut`, 0..K-1: what a worker does with a payload."""
        state = list(tensors)
        for segment in self._segments[cut:]:
            state = segment.run(state)
        return state[0]
