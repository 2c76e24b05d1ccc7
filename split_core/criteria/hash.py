"""A table says at which exit a token leaves; no confidence anywhere (HashEE)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from split_core.criteria.arrays import array
from split_core.criteria.base import LOGITS, TOKENS, WEIGHTS, Judgement, Seen
from split_core.errors import ConfigError
from split_core.tensors import Array


class Hash:
    """Score: share of the sample's ordinary tokens that have left by this exit; 1 when the last of them has.

    Sun et al. 2022 (HashEE): token t is computed up to exit h(t), its state is copied up from there.  It skips
    tokens, not samples, and decides without looking at any of them.  The rule for a whole sample is ours: it leaves at
    the first exit i at which every ordinary token has left, max_t h(t) <= i, that is, where the score is 1; a smaller
    threshold asks for a share of the tokens.  Tokens that the table does not hold leave at the last exit, as published.
    Special ones, h = 0, are passed over: they are in every text (published: they leave last, so that no text could).
    A text without ordinary tokens goes to the end.  The last exit, and what is no text, are judged by their largest
    probability.

    Args:
        exits: K.
        arrays: `exits` (V,) integers: h of token 0..V-1 in 1..K, or 0 for a special one.

    Raises:
        ConfigError: arrays that are missing, of another shape, or no table of exits.
    """

    needs: ClassVar[frozenset[str]] = frozenset({LOGITS, TOKENS, WEIGHTS})
    published = "a token leaves at exit h(t), a table; the score is the share of tokens that have left, so exit at 1"

    def __init__(self, exits: int, arrays: Mapping[str, Array]) -> None:
        table = array(arrays, "exits", None)
        if not len(table) or (table != np.floor(table)).any() or table.min() < 0 or table.max() > exits:
            raise ConfigError(f"array 'exits': expected whole numbers from 0 to {exits}, one per token")
        self._exits = exits
        # One more place, for tokens that the table does not hold.
        self._table = np.append(table, exits).astype(np.int64)

    def __call__(self, seen: Sequence[Seen]) -> Judgement:
        """See `Criterion`."""
        latest = seen[-1]
        if latest.tokens is None or latest.exit == self._exits:
            return Judgement(float(latest.probabilities.max()), latest.probabilities)
        leaves = self._table[np.minimum(latest.tokens[latest.tokens >= 0], len(self._table) - 1)]
        ordinary = int(np.count_nonzero(leaves))
        gone = ordinary - int(np.count_nonzero(leaves > latest.exit))
        return Judgement(gone / ordinary if ordinary else 0.0, latest.probabilities)
