"""Votes: how many exits agree on one class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from split_core.criteria.base import EARLIER, LOGITS, Judgement, Seen, surest_class
from split_core.params import whole


def leading(seen: Sequence[Seen]) -> list[Seen]:
    """The exits that voted for the class with most votes; of equals, the one with the larger sum of probabilities."""
    votes = Counter(surest_class(one) for one in seen)
    winner = max(votes, key=lambda label: (votes[label], sum(float(one.probabilities[label]) for one in seen)))
    return [one for one in seen if surest_class(one) == winner]


class Vote:
    """Score min(1, votes of the leading class / votes): 1 is when the rule exits.

    Sun et al. 2021 (arXiv 2105.13792): exit when at least n exits, in a row or not, agree on one class, which is the
    answer.  The probabilities are the mean over the exits that voted for it, whose likeliest class it is.

    Args:
        votes: n.
        exits: K.

    Raises:
        ConfigError: more votes than exits, or none.
    """

    needs: ClassVar[frozenset[str]] = frozenset({LOGITS, EARLIER})
    published = "exit when n exits agree on one class; the score is the leading class's votes / n, so exit at 1"

    def __init__(self, exits: int, votes: int = 2) -> None:
        self._exits = exits
        # A network of one exit has one vote.
        self._votes = min(whole("votes", votes, 1, max(2, exits)), exits)

    def __call__(self, seen: Sequence[Seen]) -> Judgement:
        """See `Criterion`."""
        voters = leading(seen)
        probabilities = np.mean([one.probabilities for one in voters], axis=0)
        return Judgement(min(1.0, len(voters) / self._votes), probabilities)


class VoteOrUnknown(Vote):
    """`Vote`, where a frame without enough votes at the last exit is none of the classes.

    Zhou et al. 2023: an answer is accepted when the votes of its class reach the threshold; otherwise the
    input is labelled out-of-distribution.  Its relative loss between exits belongs to training.

    Args:
        votes: n.
        exits: K; only the last exit can label a frame unknown.

    Raises:
        ConfigError: more votes than exits, or none.
    """

    published = "accept a class with n votes, else label the input out-of-distribution; the score is votes / n"

    def __call__(self, seen: Sequence[Seen]) -> Judgement:
        """See `Criterion`."""
        judgement = super().__call__(seen)
        known = judgement.score >= 1.0 or seen[-1].exit < self._exits
        return Judgement(judgement.score, judgement.probabilities, known)
