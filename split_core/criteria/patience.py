"""Patience: how many exits in a row say the same (PABEE)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

from split_core.criteria.base import EARLIER, LOGITS, Judgement, Seen, surest_class, trailing
from split_core.params import number, whole


class Patience:
    """Score min(1, count / patience): 1 is when PABEE exits.

    Zhou et al. 2020 (PABEE): the counter grows by one when an exit says what the one before it said, and goes
    back to 0 when it does not; exit when it reaches the patience t, so that at least t + 1 exits are read.
    For regression two exits say the same when |y_i - y_(i-1)| < tolerance.

    Args:
        patience: t, a count of agreeing pairs in a row.
        tolerance: makes it regression, of a network with one output; in units of that output after
            temperature.  None compares classes.

    Raises:
        ConfigError: a parameter out of its range.
    """

    needs: ClassVar[frozenset[str]] = frozenset({LOGITS, EARLIER})
    published = "exit when the count of equal answers in a row reaches t; the score is count / t, so exit at 1"

    def __init__(self, patience: int = 2, tolerance: float | None = None) -> None:
        self._patience = whole("patience", patience, 1, 1000)
        self._tolerance = None if tolerance is None else number("tolerance", tolerance, 0.0, 1e9)

    def __call__(self, seen: Sequence[Seen]) -> Judgement:
        """See `Criterion`."""
        count = trailing([self._same(*pair) for pair in pairwise(seen)])
        return Judgement(min(1.0, count / self._patience), seen[-1].probabilities)

    def _same(self, before: Seen, after: Seen) -> bool:
        if self._tolerance is None:
            return surest_class(before) == surest_class(after)
        return abs(float(after.logits[0] - before.logits[0])) < self._tolerance
