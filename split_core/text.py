"""Text to the network's input, the same on a device, on a worker and in calibration.

Two steps with *token ids* between them: `canonical` (tokenise, truncate) runs where the text is; `tensors` (pad,
mask) runs wherever segment 1 runs.  What split 0 ships is the ids, so a worker needs no tokeniser.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from split_core.errors import DataError
from split_core.registry import resolve
from split_core.tensors import Array, TensorSpec
from split_core.tokeniser import Tokeniser

if TYPE_CHECKING:  # it reaches a library that a worker does without
    from split_core.encoder import Encoder

NOTHING = -1  # what fills a stack of texts of many lengths; no token has this id
BLANK_TOKENS = 16  # of the text that a device warms up with

Role = Literal["ids", "mask", "types"]


def roles_of(specs: Sequence[TensorSpec]) -> tuple[Role, ...] | None:
    """What each input of a text network is fed with, by its name; None for other networks than are known here.

    A name with "mask" in it takes 1 where there is a token, one with "type" takes 0, the one that is left takes
    the token ids.  All are (batch, tokens).
    """
    found: tuple[Role, ...] = tuple(_role(spec.name) for spec in specs)
    fits = all(len(spec.row_shape) == 1 for spec in specs) and found.count("ids") == 1 and found.count("mask") < 2
    return found if fits and np.dtype(specs[found.index("ids")].dtype).kind == "i" else None


def _role(name: str) -> Role:
    return "mask" if "mask" in name.lower() else "types" if "type" in name.lower() else "ids"


class Text:
    """How a text becomes the network's input.  See `split_core.intake.Intake`.

    The canonical form of a text is (1, tokens) int64; a stack of several is (N, longest), filled with `NOTHING`.

    Args:
        said: what the manifest says of the tokeniser.
        specs: inputs of the network.
        roles: of these.
        content: of the `tokenizer.json`; without it nothing can be tokenised, and `tensors` works all the same.

    Raises:
        MissingExtra: there is a tokeniser and the library that runs it is not installed.
        DataError: it is none.
    """

    codec = "tokens"
    # Padding would count as payload, and a device runs texts one by one.
    together = 1

    def __init__(
        self, said: Tokeniser, specs: Sequence[TensorSpec], roles: Sequence[Role], content: bytes | None = None
    ) -> None:
        self._said, self._specs, self._roles = said, tuple(specs), tuple(roles)
        ids = specs[roles.index("ids")]
        self._fixed = ids.row_shape[0] if isinstance(ids.row_shape[0], int) else None
        limits = [limit for limit in (said.max_length, self._fixed) if limit is not None]
        self._limit = min(limits, default=None)
        # int64 whatever the network takes, and as many as there are where it takes one length only.
        self.specs = (TensorSpec(ids.name, "int64", (ids.shape[0], "tokens" if self._fixed else ids.shape[1])),)
        self._encoder: Encoder | None = None
        self._broken: frozenset[int] | None = None
        if content is not None:
            made = resolve("split_core.encoder:Encoder", f"text ({said.tokeniser})", "text")
            self._encoder = made(content, said, self._limit)
            self._broken = self._encoder.broken()

    @property
    def batches(self) -> bool:
        """May texts of many lengths run together?  Only where a mask says which tokens are none."""
        return "mask" in self._roles

    def canonical(self, item: Array | str) -> NDArray[np.int64]:
        """Tokenise and truncate: (1, tokens).

        Raises:
            DataError: not a text, one of no or too many tokens, or the bundle has no tokeniser in it.
        """
        if not isinstance(item, str):
            raise DataError(f"expected a text, got an array {item.dtype} {item.shape}")
        if self._encoder is None:
            raise DataError(
                f"the bundle names the tokeniser {self._said.tokeniser!r} and does not hold it; partition the "
                "network again with the path of its tokenizer.json"
            )
        return np.array([self._encoder.ids(item)], np.int64)

    def tensors(self, items: Array) -> list[Array]:
        """Token ids (N, tokens) to what the network takes, padded to the longest or to the network's fixed length."""
        there = items >= 0
        length = self._fixed or max(1, int(there.sum(1).max(initial=0)))
        if items.shape[1] < length:
            items = np.pad(items, ((0, 0), (0, length - items.shape[1])), constant_values=NOTHING)
        items, there = items[:, :length], items[:, :length] >= 0
        if self._said.padding == "left" and not there.all():
            order = np.argsort(there, axis=1, kind="stable")
            items, there = (np.take_along_axis(array, order, axis=1) for array in (items, there))
        values = {"ids": np.where(there, items, self._said.pad_id), "mask": there, "types": np.zeros_like(items)}
        return [values[role].astype(spec.dtype) for role, spec in zip(self._roles, self._specs, strict=True)]

    def stack(self, items: Sequence[Array]) -> Array:
        """Several canonical texts as one array (N, longest)."""
        made = np.full((len(items), max(item.shape[1] for item in items)), NOTHING, np.int64)
        for row, item in zip(made, items, strict=True):
            row[: item.shape[1]] = item[0]
        return made

    def unstack(self, items: Array) -> list[Array]:
        """The canonical texts of a stack."""
        return [row[row >= 0][None] for row in items]

    def measures(self, item: Array) -> dict[str, float]:
        """How long a canonical text is, and what share of its tokens is no whole word: typos, jargon, languages."""
        if self._broken is None:
            return {"tokens": float(item.shape[1])}
        pieces = sum(map(self._broken.__contains__, item[0].tolist()))
        return {"tokens": float(item.shape[1]), "pieces": pieces / item.shape[1]}

    def blank(self) -> Array:
        """A canonical text that says nothing."""
        return np.full((1, min(BLANK_TOKENS, self._limit or BLANK_TOKENS)), self._said.pad_id, np.int64)
