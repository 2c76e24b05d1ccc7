"""What many frames show a reader: the inputs of its readings, for those who read them all at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from split_core.errors import TraceError
from split_core.readings import Reader, Reading
from split_core.tensors import Array

NO_TOKEN = -1  # fills rows of tokens up to the longest


def no_tokens() -> NDArray[np.int32]:
    """Of frames that are no texts."""
    return np.empty((0, 0), np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """N frames at exits 1..K.

    Attributes:
        logits: (N, K, C).
        hidden: per exit that reads a hidden state, pooled ones (N, D_k); of other widths at other exits.  Empty
            when they were not kept.
        tokens: (N, T) ids of each frame's tokens, `NO_TOKEN` behind its last; empty when they were not kept.
    """

    logits: Array
    hidden: tuple[Array, ...] = ()
    tokens: NDArray[np.int32] = field(default_factory=no_tokens)

    def __len__(self) -> int:
        return len(self.logits)

    def rows(self, chosen: slice | Array) -> Shown:
        """Some of the frames."""
        tokens = self.tokens[chosen] if self.tokens.size else self.tokens
        return Shown(self.logits[chosen], tuple(states[chosen] for states in self.hidden), tokens)

    def upto(self, exits: int) -> Shown:
        """The first exits only."""
        return Shown(self.logits[:, :exits], self.hidden[:exits], self.tokens)

    def read(self, reader: Reader) -> Iterator[list[Reading]]:
        """All exits of each frame in turn; each exit is judged with those before it.

        Raises:
            TraceError: the criterion needs hidden states or tokens, which were not kept.
        """
        self._check(reader)
        for row in range(len(self)):
            readings: list[Reading] = []
            for place in range(self.logits.shape[1]):
                readings.append(self._reading(reader, row, place, readings))
            yield readings

    def read_last(self, reader: Reader) -> Iterator[Reading]:
        """The last exit of each frame in turn, as `read` gives it; those before it are seen, but not judged.

        Raises:
            TraceError: see `read`.
        """
        self._check(reader)
        last = self.logits.shape[1] - 1
        before = range(last) if reader.wants_earlier else ()
        for row in range(len(self)):
            earlier = [
                Reading(
                    place + 1,
                    0,
                    0.0,
                    seen=reader.see(place + 1, self.logits[row, place], *self._with(reader, row, place)),
                )
                for place in before
                if np.isfinite(self.logits[row, place]).all()
            ]
            yield self._reading(reader, row, last, earlier)

    def _check(self, reader: Reader) -> None:
        if reader.wants_hidden and not self.hidden and self.logits.shape[1] > 1:
            raise TraceError(
                "the criterion needs hidden states, this trace kept none; record it with 'offramp trace --hidden'"
            )
        if reader.wants_tokens and not self.tokens.size:
            raise TraceError(
                "the criterion needs the tokens of a text, this trace has none; choose another criterion for images, "
                "or record the trace again"
            )

    def _reading(self, reader: Reader, row: int, place: int, earlier: Sequence[Reading]) -> Reading:
        hidden, tokens = self._with(reader, row, place)
        return reader.read(place + 1, self.logits[row, place], hidden, earlier, tokens)

    def _with(self, reader: Reader, row: int, place: int) -> tuple[Array | None, Array | None]:
        """What one exit reads beside its logits: hidden state and tokens."""
        hidden = self.hidden[place][row] if reader.wants_hidden and place < len(self.hidden) else None
        return hidden, self.tokens[row] if reader.wants_tokens else None
