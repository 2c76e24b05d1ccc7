"""Maximum probability, where the most confident exit answers when none passed (SDN)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from split_core.criteria.base import EARLIER, LOGITS, Judgement, Seen


class MostConfident:
    """Score p_max, and at the last exit the largest p_max of all exits, whose answer is then given.

    Kaya et al. 2019 (SDN): exit when max_c p(c) >= threshold at any internal classifier; if none passes, the
    output of the most confident one, the last included, is the answer.

    Args:
        exits: K.
    """

    needs: ClassVar[frozenset[str]] = frozenset({LOGITS, EARLIER})
    published = "exit when p_max >= threshold; if none passes, the most confident exit answers; the score is p_max"

    def __init__(self, exits: int) -> None:
        self._exits = exits

    def __call__(self, seen: Sequence[Seen]) -> Judgement:
        """See `Criterion`; of equally confident exits the deeper one answers."""
        candidates = seen if seen[-1].exit == self._exits else seen[-1:]
        best = max(candidates, key=lambda one: (float(one.probabilities.max()), one.exit))
        return Judgement(float(best.probabilities.max()), best.probabilities)
