"""Hedge-HI: exponential weights over the threshold of one exit, with paid exploration.

Al-Atat, Datta, Moharir and Champati, "Regret bounds for online learning for hierarchical inference", MobiHoc 2024.
See `bandits.published.hedge` for the charges and the bound.  A reply is used only where the frame was shipped to
explore, as published: replies to frames below the drawn threshold would say something about unsure frames only.

Verified: what the abstract says (Hedge over thresholds of the confidence, regret of order T^(2/3) times the cube
root of the number of distinct confidences; of its logarithm in Hedge-HI-Restart, which is not here).  From memory:
the charges.  Ours: a fixed grid of thresholds instead of one per confidence met so far, hence the logarithm, and the
rates, which are derived from the bound.  A lost reply teaches nothing, not even what shipping costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bandits import params
from bandits.grid import THRESHOLDS
from bandits.policy import Arm, Policy
from bandits.published.hedge import Hedge, rates, restore_all
from bandits.published.offload import Draw, OffloadPolicy
from split_core.objective import Objective
from split_core.readings import Reading


def make_hedge_hi(
    *,
    exits: int,
    rng: np.random.Generator,
    objective: Objective,
    split: int = 1,
    thresholds: Sequence[float] = THRESHOLDS,
    horizon: int = 10_000,
    learning_rate: float = 0.0,
    exploration: float = 0.0,
) -> Policy:
    """Thresholds at `split`, drawn by their weights.

    Args:
        exits: K, at least 2.
        rng: draws.
        objective: gives mu.
        split: where the device stops, 1..K-1.
        thresholds: to choose from.
        horizon: frames that the two rates are made for.
        learning_rate: eta; 0 takes the horizon's.
        exploration: epsilon, the share of frames that are shipped to learn from; 0 takes the horizon's.

    Raises:
        ConfigError: a parameter is out of its range.
    """
    where = params.whole("split", split, 1, exits - 1)
    alphas = params.thresholds("thresholds", thresholds)
    eta, epsilon = chosen_rates(len(alphas), horizon, learning_rate, exploration, worst=1.0)
    rule = HedgeRule([Arm(where, alpha) for alpha in alphas], eta=eta, epsilon=epsilon, rng=rng)
    return OffloadPolicy("hedge_hi", rule, split=where, exits=exits, mu=objective.mu)


def chosen_rates(
    experts: int, horizon: int, learning_rate: float, exploration: float, *, worst: float
) -> tuple[float, float]:
    """Rates of the policy file, those of the horizon where it says 0.

    Raises:
        ConfigError: a parameter is out of its range.
    """
    eta, epsilon = rates(experts, params.whole("horizon", horizon, 1, 10**12), worst)
    return (
        params.number("learning_rate", learning_rate, 0.0, 100.0) or eta,
        params.number("exploration", exploration, 0.0, 1.0) or epsilon,
    )


class HedgeRule:
    """An `OffloadRule` that draws a threshold; the draw behind the last one explores.

    Args:
        arms: one per threshold, ascending.
        eta: learning rate.
        epsilon: share of frames that explore.
        rng: draws.
    """

    def __init__(self, arms: Sequence[Arm], *, eta: float, epsilon: float, rng: np.random.Generator) -> None:
        self._arms, self._epsilon, self._rng = list(arms), epsilon, rng
        self._hedge = Hedge([arm.threshold for arm in arms], eta=eta)
        self._explore = Draw(len(self._arms), epsilon, Arm(arms[0].split, 1.0))

    def draw(self) -> Draw:
        """Explore, or draw a threshold."""
        if self._rng.random() < self._epsilon:
            return self._explore
        place, chance = self._hedge.draw(self._rng)
        return Draw(place, (1.0 - self._epsilon) * chance, self._arms[place])

    def ships(self, draw: int, reading: Reading, price: float) -> bool:
        """Exploring, or below the drawn threshold."""
        return draw == self._explore.index or reading.confidence < self._arms[draw].threshold

    def learn(self, draw: int, reading: Reading, price: float, verdict: Reading | None) -> None:
        """Charge every threshold."""
        explored = draw == self._explore.index and verdict is not None
        mistake = float(verdict is not None and verdict.label != reading.label)
        answered = mistake / self._epsilon if explored else 0.0
        self._hedge.charge(reading.confidence, shipped=price, answered=answered)

    def identity(self) -> dict[str, Any]:
        """The arms."""
        return {"arms": [[arm.split, arm.threshold] for arm in self._arms]}

    def state(self) -> dict[str, Any]:
        """Losses and generator, as JSON types."""
        return {"losses": self._hedge.losses(), "generator": dict(self._rng.bit_generator.state)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`, bit-identically.

        Raises:
            PolicyFileError: another number of thresholds, no losses, or no state of the generator.
        """
        restore_all(state, {"losses": self._hedge}, self._rng, "hedge_hi")
