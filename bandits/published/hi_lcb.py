"""HI-LCB and HI-LCB-lite: ship while the answer could still be wrong often enough (arXiv 2508.08985).

Readings fall into bins of confidence.  f_b is the share of bin b in which the device says what the cloud says,
learned from the bin's shipped frames alone.  A frame is shipped while a mistake may still cost more than asking:

    ship  when  1 - L_b >= beta,        L_b = f_b - sqrt(alpha * ln t / O_b),  0 where O_b = 0

with O_b verdicts in the bin and t frames so far.  HI-LCB-lite stops here, O(1) a frame.  HI-LCB uses that surer
answers are right more often: L_b is the highest of the bins up to b, so a bin is released by what a less sure one
has shown, and the released bins are always the uppermost ones.  Both regret O(log T) against the best decision per
bin; a frame is shipped in vain at most alpha * ln T / gap^2 times in a bin.

Verified: what the abstract says (monotone in confidence, confidence bounds, O(log T), O(1) for -lite).  From memory:
the form of the bound.  Ours: the bins; alpha of .52, because above 1/2 a bound fails less often than 1/t; and
that beta is the context's price of the moment instead of a mean with a bound of its own.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np

from bandits import params, saved
from bandits.grid import THRESHOLDS
from bandits.policy import Policy
from bandits.published.offload import Draw, OffloadPolicy
from split_core.objective import Objective
from split_core.readings import Reading

ALPHA = 0.52


def make_hi_lcb(
    *,
    exits: int,
    rng: np.random.Generator,
    objective: Objective,
    split: int = 1,
    thresholds: Sequence[float] = THRESHOLDS,
    alpha: float = ALPHA,
) -> Policy:
    """Bins learn from less sure ones.

    Args:
        exits: K, at least 2.
        rng: not used, the rule is deterministic.
        objective: gives mu.
        split: where the device stops, 1..K-1.
        thresholds: edges of the bins of confidence.
        alpha: weight of the bound, squared.

    Raises:
        ConfigError: a parameter is out of its range.
    """
    return _policy("hi_lcb", exits, objective, split, thresholds, alpha, monotone=True)


def make_hi_lcb_lite(
    *,
    exits: int,
    rng: np.random.Generator,
    objective: Objective,
    split: int = 1,
    thresholds: Sequence[float] = THRESHOLDS,
    alpha: float = ALPHA,
) -> Policy:
    """Every bin for itself; parameters as those of `make_hi_lcb`."""
    return _policy("hi_lcb_lite", exits, objective, split, thresholds, alpha, monotone=False)


def _policy(
    name: str, exits: int, objective: Objective, split: int, edges: Sequence[float], alpha: float, *, monotone: bool
) -> Policy:
    rule = LowerBounds(
        name, params.thresholds("thresholds", edges), alpha=params.number("alpha", alpha, 0.0, 100.0), monotone=monotone
    )
    where = params.whole("split", split, 1, exits - 1)
    return OffloadPolicy(name, rule, split=where, exits=exits, mu=objective.mu)


class LowerBounds:
    """An `OffloadRule` by lower bounds of how often the device is right.

    Args:
        policy: the policy's name, for messages.
        edges: of the bins, ascending.
        alpha: weight of the bound, squared.
        monotone: a bin is at least as good as every less sure one.
    """

    def __init__(self, policy: str, edges: Sequence[float], *, alpha: float, monotone: bool) -> None:
        self._policy, self._edges, self._alpha, self._monotone = policy, list(edges), alpha, monotone
        self._verdicts = [0.0] * (len(edges) + 1)
        self._right = [0.0] * (len(edges) + 1)
        self._frames = 0.0

    def draw(self) -> Draw:
        """Count the frame."""
        self._frames += 1.0
        return Draw()

    def ships(self, draw: int, reading: Reading, price: float) -> bool:
        """Could a mistake still cost more than asking?"""
        return 1.0 - self.lower_bound(bisect_right(self._edges, reading.confidence)) >= price

    def lower_bound(self, place: int) -> float:
        """L of bin `place`, at least 0."""
        bins = range(place + 1) if self._monotone else (place,)
        return max(0.0, *(self._own_bound(one) for one in bins))

    def _own_bound(self, place: int) -> float:
        verdicts = self._verdicts[place]
        if verdicts == 0.0:
            return 0.0
        radius = math.sqrt(self._alpha * math.log(max(1.0, self._frames)) / verdicts)
        return self._right[place] / verdicts - radius

    def learn(self, draw: int, reading: Reading, price: float, verdict: Reading | None) -> None:
        """One verdict for the reading's bin."""
        if verdict is None:
            return
        place = bisect_right(self._edges, reading.confidence)
        self._verdicts[place] += 1.0
        self._right[place] += float(verdict.label == reading.label)

    def identity(self) -> dict[str, Any]:
        """The edges."""
        return {"thresholds": list(self._edges)}

    def state(self) -> dict[str, Any]:
        """Counts, as JSON types."""
        return {"verdicts": list(self._verdicts), "right": list(self._right), "frames": self._frames}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`, bit-identically.

        Raises:
            PolicyFileError: another number of bins, or no counts.
        """
        count = len(self._verdicts)
        verdicts = saved.numbers(state, "verdicts", count, self._policy, least=0.0)
        right = saved.numbers(state, "right", count, self._policy, least=0.0)
        frames = saved.number(state, "frames", self._policy, least=0.0)
        self._verdicts, self._right, self._frames = verdicts, right, frames
