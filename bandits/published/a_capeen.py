"""A-CapEEN: a bandit over the thresholds of four exits together (Div290/CapEEN, Acapeen.py).

Deviations.  The authors decide per token of a caption, here it is per frame.  Their code adds the played arm's reward
to other arms that would have earned another; here other arms are paid what they would have earned, and only those
that a frame settles whatever it is (`side: below`), or none.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from bandits import params
from bandits.indices.build import Choice, policy_bandit
from bandits.policy import Policy
from bandits.published.ceebert import SIDES
from bandits.published.vectors import ThresholdVectors, early_exits
from split_core.objective import Objective

# Of the exits at layers 2, 5, 7 and 9 of 12: 3 * 3 * 4 * 4 = 144 arms.
THRESHOLDS = ((0.5, 0.65, 0.8), (0.5, 0.65, 0.8), (0.4, 8 / 15, 2 / 3, 0.8), (0.3, 13 / 30, 17 / 30, 0.7))
LAYERS = (2, 5, 7, 9)


def make_a_capeen(
    *,
    exits: int,
    rng: np.random.Generator,
    objective: Objective,
    at: Any = "published",
    c: float = 0.1,
    side: str = "below",
    index: Choice = "ucb1",
    forget: Choice = "none",
) -> Policy:
    """Four early exits, every combination of their thresholds; nothing is shipped.

    As published: `c: 1`, with mu = 1 and overheads 1/12, 4/12, 7/12 and 1 over the first exit.

    Args:
        exits: K, at least 2; with fewer than 5 the deepest of the four are missing.
        rng: for an index that draws.
        objective: gives mu.
        at: the early exits; "published" is layers 2, 5, 7 and 9 of 12.
        c: exploration weight.
        side: "below" pays all combinations that are nowhere above the played one; "none" the played one only.
        index: which bandit of `bandits.indices`; see `bandits.ucbee.make_ucbee`.
        forget: none, as published; or discount, window, change.

    Raises:
        ConfigError: a parameter is out of its range.
    """
    stops = early_exits("a_capeen", at, exits, LAYERS)
    vectors = list(product(*THRESHOLDS[: len(stops)]))
    settled = SIDES[params.one_of("side", side, ("below", "none"))]
    bandit = policy_bandit(len(vectors), index=index, forget=forget, c=c, rng=rng)
    return ThresholdVectors(
        "a_capeen", exits=exits, stops=stops, vectors=vectors, bandit=bandit, settled=settled, mu=objective.mu
    )
