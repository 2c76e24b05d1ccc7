"""A share of the samples per exit: thresholds that spend a compute budget (MSDNet)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from split_core.criteria.arrays import array
from split_core.criteria.base import LOGITS, Judgement, Seen
from split_core.errors import ConfigError
from split_core.params import number
from split_core.tensors import Array, FloatArray


class ExitShare:
    """Score 1/2 where the largest probability equals this exit's threshold: exit at 1/2.

    Huang et al. 2018 (MSDNet), budgeted batch: a share q_k of all samples is to leave at exit k, and its
    threshold is the p_max that this share of the validation samples which are still there reaches.
    Below the threshold t the score is p_max / 2t, above it 1/2 + (p_max - t) / 2(1 - t).

    Args:
        exits: K.
        thresholds: t of exits 1..K; what `thresholds_for` gives.
        arrays: or `thresholds` (K,), from `offramp train --criterion exit_share`.

    Raises:
        ConfigError: not one threshold in [0, 1] per exit, or given twice.
    """

    needs: ClassVar[frozenset[str]] = frozenset({LOGITS})
    published = "exit when p_max >= t_k, a threshold per exit; the score is 1/2 there, so exit at 1/2"

    def __init__(
        self, exits: int, thresholds: Sequence[float] | None = None, arrays: Mapping[str, Array] | None = None
    ) -> None:
        if (thresholds is None) == (arrays is None):
            raise ConfigError("needs the parameter 'thresholds', or trained arrays, and not both")
        given: Any = thresholds if arrays is None else array(arrays, "thresholds", exits).tolist()
        if not isinstance(given, Sequence) or isinstance(given, str) or len(given) != exits:
            raise ConfigError(f"thresholds: expected a list of {exits} numbers, one per exit, got {given!r}")
        self._thresholds = [number(f"thresholds[{k}]", one, 0.0, 1.0) for k, one in enumerate(given)]

    def __call__(self, seen: Sequence[Seen]) -> Judgement:
        """See `Criterion`."""
        probabilities = seen[-1].probabilities
        surest, threshold = float(probabilities.max()), self._thresholds[seen[-1].exit - 1]
        if surest < threshold:
            return Judgement(0.5 * surest / threshold, probabilities)
        over = (surest - threshold) / (1.0 - threshold) if threshold < 1.0 else 1.0
        return Judgement(min(1.0, 0.5 + 0.5 * over), probabilities)


def shares(ratio: float, exits: int) -> FloatArray:
    """(K,) shares q_k proportional to ratio^k that sum to 1, as MSDNet's code has them; it sweeps ratio = j / 20."""
    powers: FloatArray = ratio ** np.arange(1, exits + 1, dtype=np.float64)
    total: FloatArray = powers / powers.sum()
    return total


def thresholds_for(surest: FloatArray, wanted: FloatArray) -> list[float]:
    """Thresholds at which about these shares of the samples leave at each exit.

    Args:
        surest: (N, K) largest probability of every exit for validation samples.
        wanted: (K,) shares of all N samples, summing to 1.

    Returns:
        K thresholds; 0 at the last exit, which takes all that is left, and 1 where nobody is to leave.
    """
    left = np.ones(len(surest), bool)
    found = []
    for column, share in zip(surest.T[:-1], wanted[:-1], strict=True):
        count = min(int(np.floor(share * len(surest) + 1e-9)), int(left.sum()))
        threshold = float(np.sort(column[left])[::-1][count - 1]) if count else 1.0
        found.append(threshold)
        left &= column < threshold
    return [*found, 0.0]
