"""The past exits' states and an imitation of the future ones, judged together (Liao et al.)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from split_core.criteria.arrays import array
from split_core.criteria.base import EARLIER, HIDDEN, LOGITS, WEIGHTS, Judgement, Seen
from split_core.criteria.entropy import normalised_certainty
from split_core.criteria.widths import Widths
from split_core.tensors import Array, FloatArray


class PastFuture:
    """Score 1 - H / ln C of a head on [past; imitated future], which also gives the answer.

    Liao et al. 2021 (global past-future early exit): exit when the entropy H of that head is below the
    threshold S; in score units 1 - S / ln C.  Its imitation is trained by cosine distance to the real later states,
    together with the head (`offramp train --criterion past_future`).  The shapes are ours, after its idea: past is
    the mean of the pooled states read so far, future is one linear map of the latest; narrower states are filled with
    zeros.  An exit without a hidden state answers with its own probabilities and is judged by their entropy.

    Args:
        exits: K.
        arrays: `imitation` (K - 1, D, D), `imitation_bias` (K - 1, D), `head` (K - 1, C, 2D),
            `head_bias` (K - 1, C); for narrower states `widths`.

    Raises:
        ConfigError: arrays that are missing or of another shape; when used, hidden states of another width.
    """

    needs: ClassVar[frozenset[str]] = frozenset({LOGITS, HIDDEN, EARLIER, WEIGHTS})
    published = "exit when H < S nats for the head on past and future; lower is surer; the score is 1 - H / ln C"

    def __init__(self, exits: int, arrays: Mapping[str, Array]) -> None:
        self._imitation_bias = array(arrays, "imitation_bias", exits - 1, None)
        width = self._imitation_bias.shape[1]
        self._widths = Widths(arrays, exits, width)
        self._imitation = array(arrays, "imitation", exits - 1, width, width)
        self._head_bias = array(arrays, "head_bias", exits - 1, None)
        self._head = array(arrays, "head", exits - 1, self._head_bias.shape[1], 2 * width)

    def __call__(self, seen: Sequence[Seen]) -> Judgement:
        """See `Criterion`."""
        latest = seen[-1]
        probabilities = latest.probabilities if latest.hidden is None else self._fused(seen, latest.exit - 1)
        return Judgement(normalised_certainty(probabilities), probabilities)

    def _fused(self, seen: Sequence[Seen], row: int) -> FloatArray:
        states = [self._widths.filled(one.exit, one.hidden) for one in seen if one.hidden is not None]
        future = self._imitation[row] @ states[-1] + self._imitation_bias[row]
        logits = self._head[row] @ np.concatenate([np.mean(states, axis=0), future]) + self._head_bias[row]
        powers: FloatArray = np.exp(logits - logits.max())
        result: FloatArray = powers / powers.sum()
        return result
