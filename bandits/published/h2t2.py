"""H2T2: two thresholds where missing the one class costs more than a false alarm (arXiv 2509.15674).

A detector says "positive" or not.  A missed positive costs `miss`, a false alarm 1, asking the cloud beta.  Positive
answers are given from one confidence on, others from another one, both learned by exponential weights over all
pairs of thresholds with paid exploration (`bandits.published.hedge`).

The loss of a pair on one frame depends on one of its two thresholds alone, on the one for what the device says.  So
the weight of a pair is a product, and two lists of N weights stand for N^2 pairs exactly.

Verified: what the abstract says (a pair of thresholds on the confidence, limited feedback, sublinear regret).  From
memory: exponential weights over quantised pairs and their charges.  Ours: with more than two classes "positive" is
one class and any mistake that is not a miss costs 1; the rates; and that the answer given is the device's own
label, so the score that separates the classes stays at a half (the paper moves that too, where a miss costs much).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bandits import params
from bandits.grid import THRESHOLDS
from bandits.policy import Policy
from bandits.published.hedge import Hedge, restore_all
from bandits.published.hedge_hi import chosen_rates
from bandits.published.offload import Draw, OffloadPolicy
from split_core.objective import Objective
from split_core.readings import Reading


def make_h2t2(
    *,
    exits: int,
    rng: np.random.Generator,
    objective: Objective,
    split: int = 1,
    thresholds: Sequence[float] = THRESHOLDS,
    positive: int = 1,
    miss: float = 5.0,
    horizon: int = 10_000,
    learning_rate: float = 0.0,
    exploration: float = 0.0,
) -> Policy:
    """Pairs of thresholds at `split`, drawn by their weights.

    Args:
        exits: K, at least 2.
        rng: draws.
        objective: gives mu.
        split: where the device stops, 1..K-1.
        thresholds: to choose both from.
        positive: the class that must not be missed.
        miss: what missing it costs, where any other mistake costs 1.
        horizon: frames that the two rates are made for.
        learning_rate: eta; 0 takes the horizon's.
        exploration: epsilon, the share of frames that are shipped to learn from; 0 takes the horizon's.

    Raises:
        ConfigError: a parameter is out of its range.
    """
    where = params.whole("split", split, 1, exits - 1)
    alphas = params.thresholds("thresholds", thresholds)
    costly = params.number("miss", miss, 0.0, 1e6)
    eta, epsilon = chosen_rates(len(alphas) ** 2, horizon, learning_rate, exploration, worst=max(1.0, costly))
    alarm = params.whole("positive", positive, 0, 1_000_000)
    rule = PairRule(alphas, positive=alarm, miss=costly, eta=eta, epsilon=epsilon, rng=rng)
    return OffloadPolicy("h2t2", rule, split=where, exits=exits, mu=objective.mu)


class PairRule:
    """An `OffloadRule` that draws one threshold for each kind of answer; the draw behind the last pair explores.

    Args:
        thresholds: ascending.
        positive: the class that must not be missed.
        miss: what missing it costs.
        eta: learning rate.
        epsilon: share of frames that explore.
        rng: draws.
    """

    def __init__(
        self,
        thresholds: Sequence[float],
        *,
        positive: int,
        miss: float,
        eta: float,
        epsilon: float,
        rng: np.random.Generator,
    ) -> None:
        self._thresholds, self._positive, self._miss = list(thresholds), positive, miss
        self._epsilon, self._rng = epsilon, rng
        self._hedges = {kind: Hedge(thresholds, eta=eta) for kind in ("positive", "other")}
        self._explore = Draw(len(self._thresholds) ** 2, epsilon)

    def draw(self) -> Draw:
        """Explore, or draw a pair."""
        if self._rng.random() < self._epsilon:
            return self._explore
        positive, chance = self._hedges["positive"].draw(self._rng)
        other, also = self._hedges["other"].draw(self._rng)
        return Draw(positive * len(self._thresholds) + other, (1.0 - self._epsilon) * chance * also)

    def ships(self, draw: int, reading: Reading, price: float) -> bool:
        """Exploring, or below the threshold for what the device says."""
        if draw == self._explore.index:
            return True
        positive, other = divmod(draw, len(self._thresholds))
        place = positive if reading.label == self._positive else other
        return reading.confidence < self._thresholds[place]

    def learn(self, draw: int, reading: Reading, price: float, verdict: Reading | None) -> None:
        """Charge every threshold for what the device says."""
        explored = draw == self._explore.index and verdict is not None
        answered = self._mistake(reading, verdict) / self._epsilon if explored and verdict else 0.0
        kind = "positive" if reading.label == self._positive else "other"
        self._hedges[kind].charge(reading.confidence, shipped=price, answered=answered)

    def _mistake(self, reading: Reading, verdict: Reading) -> float:
        if verdict.label == reading.label:
            return 0.0
        return self._miss if verdict.label == self._positive else 1.0

    def identity(self) -> dict[str, Any]:
        """Thresholds and the positive class."""
        return {"thresholds": list(self._thresholds), "positive": self._positive}

    def state(self) -> dict[str, Any]:
        """Losses and generator, as JSON types."""
        losses = {kind: hedge.losses() for kind, hedge in self._hedges.items()}
        return {**losses, "generator": dict(self._rng.bit_generator.state)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`, bit-identically.

        Raises:
            PolicyFileError: another number of thresholds, no losses, or no state of the generator.
        """
        restore_all(state, self._hedges, self._rng, "h2t2")
